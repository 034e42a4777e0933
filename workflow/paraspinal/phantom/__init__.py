"""Procedural lumbar anatomy, its MR images, its exact truth, and its DICOM files."""

__all__ = ["anatomy", "cohort", "contrast", "tissue"]
