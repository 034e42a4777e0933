"""Cohort pipeline for lumbar muscle MRI: from DICOM to publishable tables."""

__version__ = "0.1.0"
