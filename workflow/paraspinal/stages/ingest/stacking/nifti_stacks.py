"""From NIfTI files to stacks: one file is one stack."""

from __future__ import annotations

from paraspinal.core.imaging.geometry import Grid, plane_of
from paraspinal.core.vocab import Plane, Reason, Status
from paraspinal.stages.ingest.kinds.sequence import contrast_of
from paraspinal.stages.ingest.reading.record import NIFTI, FileRecord
from paraspinal.stages.ingest.stacking.acquired import common_values
from paraspinal.stages.ingest.stacking.grids import Slice
from paraspinal.stages.ingest.stacking.stacks import Stack

MIN_SLICES = 2
EXCLUDED_REASONS = frozenset({Reason.FOURD_UNEXPECTED, Reason.TOO_FEW_SLICES})
"""Sound images that are not for this workflow, as against damaged ones."""


def nifti_stack(path: bytes, record: FileRecord) -> Stack:
    """Make the stack of one NIfTI file."""
    values = {**record.values, **common_values([record.values])}
    contrast = contrast_of(values)
    piece = Slice(path, None, None, None, None, (0, 0), None, None, None, record.digest or "", 0, record.digest or "")
    stack = Stack(str(values["relative"]), values, contrast, Plane.UNKNOWN, [piece], 1, source=NIFTI)
    stack.paths = {path}
    if "grid" in values:
        size, spacing, origin, direction = values["grid"]
        stack.grid = Grid(tuple(size), tuple(spacing), tuple(origin), tuple(direction))
        stack.plane = plane_of(stack.grid.normal)
    if record.reason:
        stack.grid = None
        status = Status.EXCLUDED if record.reason in EXCLUDED_REASONS else Status.FAILED
        stack.decide(status, record.reason, record.detail)
    elif stack.region.is_elsewhere:
        stack.set_aside(Reason.WRONG_BODY_PART, "the name or sidecar states another body region")
    elif stack.grid is not None and stack.grid.size[2] < MIN_SLICES:
        stack.decide(Status.EXCLUDED, Reason.TOO_FEW_SLICES, "a single slice")
    elif not contrast.is_anatomical:
        stack.set_aside(Reason.SEQ_UNKNOWN, contrast.evidence)
    return stack
