"""Synthetic sagittal slices with vertebrae, discs, sacrum and canal."""

__all__ = ["non_lumbar", "painter", "scene", "task", "view"]
