"""Synthetic axial slices with the eight muscles."""

__all__ = ["atlas_bank", "layout", "outlines", "task"]
