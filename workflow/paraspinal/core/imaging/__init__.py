"""Images and their grids in the patient: reading, writing, geometry."""

__all__ = ["geometry", "images", "slice_grid", "subcutaneous"]
