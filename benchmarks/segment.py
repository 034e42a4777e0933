"""The segment stage against what else one would run: a process per scan, and MONAI's sliding window.

    python benchmarks/segment.py [--scans 8] [--work FOLDER] [--device cuda]

Phantoms of a usual (320 x 320 x 30) and a large size (400 x 400 x 60); each way gets the same images and two cores.

shard    one job of the workflow
process  `paraspinal segment` once per scan, with two threads
monai    one process, the network loaded once; MONAI's sliding_window_inference (the window of the training, overlap
         0.25, two threads) looks at the slices, everything else is the same

Writes benchmarks/segment.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from measure import machine

from paraspinal.cohort.running.runs import begin_run
from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.imaging.images import read_image, write_image
from paraspinal.core.imaging.slice_grid import MIN_SHAPE
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.schemas import HARMONIZE, SEGMENT
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import load_settings, read_config
from paraspinal.models import inference
from paraspinal.models.evaluation.muscles import MUSCLES_MODEL
from paraspinal.phantom.anatomy import Anatomy, sample_parameters
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, render
from paraspinal.statistics import overlap

RESULTS = Path(__file__).with_suffix(".json")
SIZES = {"320x320x30": ((320, 320, 30), (1.05, 1.05, 5.0)), "400x400x60": ((400, 400, 60), (0.84, 0.84, 4.0))}
OVERLAP = 0.25


def main() -> None:
    """Run every way on every size and report scans per hour."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=8)
    parser.add_argument("--work", type=Path, help="scratch folder (default: a temporary one)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "scans": arguments.scans, "load": Path("/proc/loadavg").read_text()}
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        for size in SIZES:
            paths = phantoms(Path(name) / size, size, arguments.scans)
            found[size] = measured(paths, arguments.device, arguments.threads)
            print(size, json.dumps(found[size], indent=1), flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def phantoms(folder: Path, size: str, count: int) -> list[Path]:
    """Write ``count`` axial scans: three people, each more than once, so that rendering does not take an hour."""
    shape, spacing = SIZES[size]
    grid = Grid(shape, spacing, tuple(-n * mm / 2 for n, mm in zip(shape, spacing, strict=True)), tuple(np.eye(3).flat))
    paths = []
    for number in range(count):
        path = folder / f"{number}.nii.gz"
        if number < 3:
            rng = np.random.default_rng([11, number])
            image = grid.image(
                render(Anatomy(sample_parameters(rng)), grid, CONTRASTS[Weighting.T1W], rng, samples=QUICK)
            )
        else:
            image = read_image(paths[number % 3])
        write_image(image, path)
        paths.append(path)
    return paths


def measured(paths: list[Path], device: str, threads: int) -> dict[str, Any]:
    """Time all ways; wall and processor seconds per scan, ratios to the shard."""
    ways: dict[str, Callable[[], list[np.ndarray]]] = {
        "shard": lambda: as_shard(paths, device, threads),
        "process": lambda: as_processes(paths, device, threads),
        "monai": lambda: as_monai(paths, device, threads),
    }
    found: dict[str, Any] = {}
    labels: dict[str, list[np.ndarray]] = {}
    for way, run in ways.items():
        before, began = cpu_seconds(), time.monotonic()
        labels[way] = run()
        wall, cpu = time.monotonic() - began, cpu_seconds() - before
        found[way] = {
            "wall_seconds_per_scan": wall / len(paths),
            "cpu_seconds_per_scan": cpu / len(paths),
            "scans_per_hour": 3600 * len(paths) / wall,
        }
    for way in ways:
        found[way]["shard_is_faster_by"] = found[way]["wall_seconds_per_scan"] / found["shard"]["wall_seconds_per_scan"]
        pairs = zip(labels[way], labels["shard"], strict=True)
        found[way]["mean_dsc_with_shard"] = float(
            np.mean([overlap.dice(a == c, b == c) for a, b in pairs for c in np.unique(b)[1:]])
        )
    return found


def cpu_seconds() -> float:
    """Processor time of this process and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def as_shard(paths: list[Path], device: str, threads: int) -> list[np.ndarray]:
    """One job of the workflow, as its rule starts it."""
    results = paths[0].parent / "results"
    (results / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, path in enumerate(paths):
        (results / "images" / path.name).symlink_to(path)
        nothing: Row = dict.fromkeys(HARMONIZE.names)
        rows.append(nothing | {
            "subject": f"{number:04}", "session": "1", "scan_id": f"sub-{number:04}_ses-1_acq-ax_T1w",
            "role": "muscles", "sequence": "T1w", "image_path": f"images/{path.name}", "status": "ok",
            "stack_ids": [], "image_sha256s": [], "plane": "axial", "is_fat_suppressed": False,
            "levels_from_same_image": False, "activity_id": "0",
        })  # fmt: skip
    HARMONIZE.write(shard_path(results, "harmonize", 1), rows)
    said = {"segment": {"device": device}, "out": str(results), "private_dir": str(paths[0].parent / "private")}
    begin_run(load_settings(read_config(None, said)))
    job = [sys.executable, "-m", "paraspinal", "stage", "segment", "--shard", "1", "--out", str(results)]
    subprocess.run([*job, "--workers", str(threads)], check=True, stdout=subprocess.DEVNULL)
    done = sorted(SEGMENT.read(shard_path(results, "segment", 1)), key=lambda row: row["subject"])
    return [array(results / row["dseg_path"]) for row in done]


def as_processes(paths: list[Path], device: str, threads: int) -> list[np.ndarray]:
    """A process per scan that loads the model each time."""
    outputs = []
    for path in paths:
        out = path.with_name(f"process_{path.name}")
        command = [sys.executable, "-m", "paraspinal", "segment", str(path), "--model", MUSCLES_MODEL]
        command += ["--out", str(out), "--device", device, "--threads", str(threads)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        outputs.append(array(out))
    return outputs


class SlidingWindow:
    """Answers slices as MONAI's plain sliding window does."""

    def __init__(self, model: inference.LoadedModel) -> None:
        self._model = model

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class probabilities (N, L, H, W); there are no heatmaps."""
        from monai.inferers import sliding_window_inference

        def network(windows: torch.Tensor) -> torch.Tensor:
            return self._model.network(windows)[0].softmax(dim=1)

        with torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(inputs)).to(self._model.device)
            answer = sliding_window_inference(images, MIN_SHAPE, 4, network, overlap=OVERLAP)
        return answer.cpu().numpy(), np.empty((len(inputs), 0, *inputs.shape[2:]), np.float32)


def as_monai(paths: list[Path], device: str, threads: int) -> list[np.ndarray]:
    """One process; every window of every slice goes through MONAI's inferer, and air is looked at too."""
    model = inference.load_model(MUSCLES_MODEL, device, threads)
    segmenter = inference.MuscleSegmenter(replace(model, batcher=SlidingWindow(model)))
    own_window = inference.body_window
    inference.body_window = lambda slices: (slice(0, slices.shape[1]), slice(0, slices.shape[2]))
    outputs = []
    try:
        for path in paths:
            out = path.with_name(f"monai_{path.name}")
            write_image(segmenter.segment(read_image(path)).label_map, out)
            outputs.append(array(out))
    finally:
        inference.body_window = own_window
    return outputs


def array(path: Path) -> np.ndarray:
    """Read a label map."""
    return np.asarray(sitk.GetArrayFromImage(read_image(path)))


if __name__ == "__main__":
    main()
