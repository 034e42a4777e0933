"""Zip and tar archives of DICOM, read where they lie and within bounds."""

__all__ = ["bounds", "files"]
