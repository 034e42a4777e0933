"""What is computed again after ten kinds of change, and what the records weigh, on a finished demo.

    python benchmarks/changes.py --results RESULTS [--checkout OTHER] [--name NAME]

Every change is made in a copy of a checkout (this one, or that of another version whose results these are) and given to
its own ``paraspinal plan``, which computes nothing. Units and seconds are summed over the stages; units that are
perhaps computed stand apart. Writes benchmarks/changes.json, one entry for each name.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import machine

from paraspinal.core.paths import PROJECT

FOUND = Path(__file__).with_name("changes.json")
STAGES = ("convert", "harmonize", "segment", "levels", "measure", "quality")
Edit = tuple[tuple[str, ...], str, str]
"""Files of which the first that is there is edited, a text in it, and what stands there afterwards."""
VOCABULARY = ("workflow/paraspinal/core/vocab.py",)
EDITS: dict[str, Edit] = {
    "a new reason code": (
        VOCABULARY, '    PHI_DETECTED = "', '    NEW_REASON = "NEW_REASON"\n    PHI_DETECTED = "'
    ),
    "a docstring": (VOCABULARY, "Closed vocabularies", "Closed vocabularies, all of them"),
    "a word of the report": (
        ("workflow/paraspinal/stages/report/methods.py",),
        "All measurements were made automatically.",
        "All measurements were automatic.",
    ),
    "how L5 is decided": (
        ("workflow/paraspinal/vertebrae/junction.py", "workflow/paraspinal/models/spine_junction.py"),
        "GEOMETRY_WEIGHT = 0.7", "GEOMETRY_WEIGHT = 0.75",
    ),
    "the gate of a fat method": (
        ("workflow/paraspinal/stages/measure/fat/brightness.py", "workflow/paraspinal/stages/measure/fat_t1t2.py"),
        "MIN_ASHMAN_D = 2.0", "MIN_ASHMAN_D = 2.5",
    ),
    "a helper that only ingest calls": (
        ("workflow/paraspinal/core/identity.py",), "SUBJECT_LENGTH = 12", "SUBJECT_LENGTH = 12\nNEVER_USED = 1"
    ),
}  # fmt: skip
FAT_METHOD = """    T1T2_GMM3_MUSCLEMAP = "t1t2_gmm3_musclemap"
"""
SETTINGS = {
    "a parameter of measure": ("measure.min_coverage_frac=0.6",),
    "a parameter of quality": ("quality.max_side_ratio=2.0",),
    "nothing": (),
}


def main() -> None:
    """Plan every change and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--checkout", type=Path, default=PROJECT)
    parser.add_argument("--name", default="now")
    arguments = parser.parse_args()
    results = arguments.results.absolute()
    found = {name: planned(arguments.checkout, results, more) for name, more in SETTINGS.items()}
    for name, edit in EDITS.items():
        with tempfile.TemporaryDirectory() as folder:
            copy = _copy(arguments.checkout, Path(folder))
            found[name] = planned(copy, results) if _edited(copy, *edit) else {}
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy(arguments.checkout, Path(folder))
        _add_fat_method(copy)
        found["a new fat method"] = planned(copy, results)
    everything = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    everything[arguments.name] = {"machine": machine(), "changes": found, "records": weights(results)}
    FOUND.write_text(json.dumps(everything, indent=1) + "\n")
    print(json.dumps(everything[arguments.name], indent=1))


def planned(checkout: Path, results: Path, settings: tuple[str, ...] = ()) -> dict[str, Any]:
    """Units that a checkout would compute for certain and perhaps, by stage, and the seconds of all of them."""
    command = [sys.executable, "-P", "-m", "paraspinal", "plan", "--json", "--out", str(results)]
    command += [word for setting in settings for word in ("--set", setting)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "workflow")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = {line["stage"]: line for line in json.loads(done.stdout)["stages"]}
    return {
        "certain": {name: lines[name]["compute"] for name in STAGES if lines[name]["compute"]},
        "perhaps": {name: lines[name]["maybe"] for name in STAGES if lines[name]["maybe"]},
        "seconds": round(3600 * sum(line["cpu_hours"] for line in lines.values()), 1),
        "most_seconds": round(3600 * sum(line["most_cpu_hours"] for line in lines.values()), 1),
    }


def weights(results: Path) -> dict[str, float]:
    """Kilobytes a scan of receipts, units and shard tables, and how many scans that is over."""
    scans = len(list((results / "receipts" / "segment").glob("sub-*")))
    receipts = sum(p.stat().st_size for p in (results / "receipts").rglob("sub-*.json*"))
    units = sum(p.stat().st_size for p in (results / "receipts").rglob("*.parquet"))
    tables = sum(p.stat().st_size for p in (results / "shards").rglob("shard-*.parquet"))
    kilobytes = {"receipts_kb": receipts, "units_kb": units, "shard_tables_kb": tables}
    return {"scans": scans, **{name: round(n / 1000 / scans, 1) for name, n in kilobytes.items()}}


def _copy(checkout: Path, folder: Path) -> Path:
    for name in ("workflow", "resources", "config", "benchmarks"):
        shutil.copytree(checkout / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


def _edited(checkout: Path, paths: tuple[str, ...], old: str, new: str) -> bool:
    path = next((checkout / name for name in paths if (checkout / name).is_file()), None)
    if path is None or old not in (text := path.read_text()):
        return False
    path.write_text(text.replace(old, new, 1))
    return True


def _add_fat_method(checkout: Path) -> None:
    """As the version at hand has it: a file of its own, or a member of the vocabulary."""
    room = checkout / "workflow/paraspinal/stages/measure/fat"
    if room.is_dir():
        text = (room / "dixon_ff_voxel_mean.py").read_text()
        for old, new in (("dixon_ff_voxel_mean", "dixon_ff_other"), ('"vm"', '"ot"'), ("voxel mean", "other mean")):
            text = text.replace(old, new)
        (room / "dixon_ff_other.py").write_text(text)
    else:
        _edited(checkout, VOCABULARY, FAT_METHOD, FAT_METHOD + '    OTHER = "other"\n')


if __name__ == "__main__":
    main()
