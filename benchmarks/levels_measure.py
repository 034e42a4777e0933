"""Time and memory of levels and measure for one large scan: 400 x 400 x 60 voxels with a sagittal scan beside it.

    python benchmarks/levels_measure.py [--sequence dixon]

The scan is the anatomical phantom with its true labels, so no model runs. CPU seconds, for other work on the machine
disturbs wall seconds; the peak is that of the whole process.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from measure import machine

from paraspinal.core.imaging.images import write_image
from paraspinal.core.labels import muscle_labels
from paraspinal.core.records.schemas import SEGMENT
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.settings import load_settings, read_config
from paraspinal.core.vocab import Sequence
from paraspinal.phantom.anatomy import Anatomy
from paraspinal.phantom.cohort import axial_grid, sagittal_grid
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, ideal_signals, label_map
from paraspinal.phantom.parameters import AnatomyParameters
from paraspinal.stages.levels.stage import STAGE as LEVELS
from paraspinal.stages.measure.stage import STAGE as MEASURE

SIZE, SPACING_MM = (400, 400, 60), (0.84, 0.84, 4.0)


def main() -> None:
    """Build the session, run both stages, and print the row of benchmarks/README.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequence", choices=["dixon", "T2w"], default="dixon")
    parser.add_argument("--n4", action="store_true", help="even the image out before fat is read off it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = load_settings(read_config(None, {"measure": {"n4": arguments.n4}}))
        rows = session(folder, arguments.sequence)
        before = peak_mib()
        seconds = {}
        for stage in (LEVELS, MEASURE):
            began = time.process_time(), time.monotonic()
            rows = stage.process(rows, Work(folder, settings, 1, {}))
            seconds[stage.name] = time.process_time() - began[0], time.monotonic() - began[1]
    n_metrics = len(next(row["metrics"] for row in rows if row["role"] == "muscles"))
    print(f"{machine()}; {arguments.sequence}, n4 {arguments.n4}; {n_metrics} metric rows")
    for stage_name, (cpu, wall) in seconds.items():
        print(f"{stage_name}: {cpu:.2f} CPU s, {wall:.2f} s wall")
    print(
        f"together {sum(cpu for cpu, _ in seconds.values()):.2f} CPU s; peak {peak_mib():.0f} MiB ({before:.0f} before)"
    )


def peak_mib() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def session(folder: Path, sequence: str) -> list[Row]:
    """Write the images of one session; returns its rows as the segment stage leaves them."""
    anatomy = Anatomy(AnatomyParameters())
    coarse = replace(axial_grid(anatomy, 2 * SPACING_MM[0], SPACING_MM[2]), size=(200, 200, 60))
    weightings = [Weighting.WATER, Weighting.FAT] if sequence == Sequence.DIXON.value else [Weighting.T2W]
    signals = ideal_signals(anatomy, coarse, [CONTRASTS[w] for w in weightings], QUICK)
    labels = label_map(anatomy, coarse)
    labels[~np.isin(labels, list(muscle_labels().values()))] = 0
    # The phantom is rendered at half the resolution: what counts here is the number of voxels.
    fine = replace(coarse, size=SIZE, spacing_mm=SPACING_MM)
    noise = np.random.default_rng(0).normal(0, 5, SIZE[::-1]).astype(np.float32)
    write_image(fine.image(doubled(labels)), folder / "dseg.nii.gz")
    for number, signal in enumerate(signals):
        write_image(fine.image(np.abs(doubled(signal).astype(np.float32) * 500 + noise)), folder / f"{number}.nii.gz")
    side = sagittal_grid()
    spine = ideal_signals(anatomy, side, [CONTRASTS[Weighting.T2W]], QUICK)[0]
    write_image(side.image(spine.astype(np.float32) * 500), folder / "spine.nii.gz")
    nothing: Row = dict.fromkeys(SEGMENT.names)
    both = {"subject": "a", "session": "b", "stack_ids": [], "frame_of_reference_id": "frame", "status": "ok"}
    scan = {
        "scan_id": "scan", "role": "muscles", "sequence": sequence, "is_fat_suppressed": False,
        "size": list(SIZE), "spacing_mm": list(SPACING_MM), "origin_mm": list(fine.origin_mm),
        "direction": list(fine.direction), "image_path": "0.nii.gz", "dseg_path": "dseg.nii.gz",
        "water_path": "0.nii.gz" if len(signals) > 1 else None, "fat_path": "1.nii.gz" if len(signals) > 1 else None,
    }  # fmt: skip
    found = [
        {name: np.asarray(value).tolist() for name, value in vars(planes).items()}
        | {"level": level, "body_area_mm2": 1500.0, "disc_area_mm2": 1700.0, "confidence": 1.0}
        for level, planes in anatomy.level_planes().items()
        if level in ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
    ]
    spine_row = {
        "scan_id": "spine", "role": "spine", "sequence": "T2w", "image_path": "spine.nii.gz", "vertebrae": found,
        "level_numbering": "counted_from_sacrum", "lstv_suspected": False,
    }  # fmt: skip
    return [nothing | both | scan, nothing | both | spine_row]


def doubled(array: np.ndarray) -> np.ndarray:
    """Repeat pixels (z, y, x) in plane."""
    return np.repeat(np.repeat(array, 2, axis=1), 2, axis=2)


if __name__ == "__main__":
    main()
