"""Measure what a user waits for, on the demo cohort: stages, header pass, and a run with nothing to do.

    make benchmark          (or: python benchmarks/measure.py [--demo .demo] [--work FOLDER])

Everything comes from one run on one machine, which is named; the header pass is timed side by side with pydicom alone.
Writes benchmarks/demo.json and prints the tables of benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pydicom

from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.settings import load_settings, read_config
from paraspinal.phantom.cohort import write_demo_cohort

HEADER_FILES = 4000
"""The demo's files are linked this many times over for the header pass, so that start-up does not dominate."""


def main() -> None:
    """Run all measurements and report them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="scratch folder (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        work = Path(name)
        write_demo_cohort(work / "dicom")
        first = run(work)
        found = {
            "machine": machine(),
            "first_run_seconds": first,
            "stages": stages(work / "out"),
            "second_run_seconds": run(work),
            "header_pass": header_pass(work),
        }
    target = Path(__file__).with_name("demo.json")
    target.write_text(json.dumps(found, indent=1) + "\n")
    print(tables(found))


def machine() -> str:
    """Name the processor and what there is of it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def run(work: Path) -> float:
    """Run the workflow; returns wall seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "paraspinal", "run", str(work / "dicom"), "--out", str(work / "out")]
    command += ["--set", f"private_dir={work / 'private'}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def stages(results: Path) -> dict[str, dict[str, float]]:
    """Wall seconds and peak memory of every stage from its receipts; median and largest per unit of work."""
    found = {}
    for stage in SHARD_STAGES:
        receipts = [json.loads(p.read_text()) for p in (results / "receipts" / stage).glob("sub-*.json")]
        seconds = sorted(r["wall_seconds"] for r in receipts)
        found[stage] = {
            "units": len(receipts),
            "median_seconds": seconds[len(seconds) // 2],
            "max_seconds": seconds[-1],
            "peak_mib": max(r["peak_mib"] for r in receipts),
        }
    return found


def header_pass(work: Path) -> dict[str, Any]:
    """Files per second of ingest and of pydicom alone, one process each, warm disk cache; then of an unchanged tree."""
    from paraspinal.stages.ingest import ingest

    tree = work / "many"
    files = [p for p in (work / "dicom").rglob("*.dcm") if p.stat().st_size > 0]
    for number in range(HEADER_FILES):
        source = files[number % len(files)]
        target = tree / str(number // len(files)) / source.relative_to(work / "dicom")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    count = sum(1 for p in tree.rglob("*") if p.is_file())
    began = time.monotonic()
    for path in tree.rglob("*.dcm"):
        try:
            pydicom.dcmread(path, stop_before_pixels=True)
        except pydicom.errors.InvalidDicomError:
            continue
    alone = time.monotonic() - began
    settings = load_settings(
        read_config(
            None,
            {
                "input": str(tree),
                "out": str(work / "many-out"),
                "private_dir": str(work / "private"),
                "ingest": {"workers": 1},
            },
        )
    )
    began = time.monotonic()
    ingest(settings)
    fresh = time.monotonic() - began
    began = time.monotonic()
    ingest(settings)
    again = time.monotonic() - began
    return {
        "files": count,
        "pydicom_files_per_second": count / alone,
        "ingest_files_per_second": count / fresh,
        "unchanged_files_per_second": count / again,
    }


def tables(found: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = [f"Machine: {found['machine']}.", ""]
    lines += ["| stage | units of work | median s | largest s | peak MiB |", "|---|---|---|---|---|"]
    for stage, row in found["stages"].items():
        seconds = f"{row['median_seconds']:.2f} | {row['max_seconds']:.2f}"
        lines.append(f"| {stage} | {row['units']} | {seconds} | {row['peak_mib']:.0f} |")
    header = found["header_pass"]
    lines += [
        "",
        f"First run {found['first_run_seconds']:.0f} s, second run {found['second_run_seconds']:.1f} s.",
        f"Header pass, one core, {header['files']} files: {header['ingest_files_per_second']:.0f} files/s; "
        f"pydicom alone {header['pydicom_files_per_second']:.0f} files/s; "
        f"unchanged tree {header['unchanged_files_per_second']:.0f} files/s.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
