"""Measure the header pass: speed beside pydicom alone, what a second look costs, and memory as the tree grows.

    .venv/bin/python benchmarks/headers.py [--work FOLDER] [--files 20000 200000] [--odd 200000]

The trees are phantom exams of five vendors with small matrices, copied under other patient and instance numbers, so
that headers are as long as real ones and disk space is not the limit. Every figure is a process of its own on one core,
with a warm disk cache. Writes benchmarks/headers.json and prints the tables of benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import machine

from paraspinal.phantom.cohort import PLANS, write_visit

PIXEL_MM = 8.0
"""Coarse pixels make small files with whole headers."""
UID = re.compile(rb"1\.2\.826\.0\.1\.3680043\.8\.498\.\d+")

PYDICOM = """
import sys, pydicom
from pathlib import Path
count = 0
for path in Path(sys.argv[1]).rglob("*.dcm"):
    pydicom.dcmread(path, stop_before_pixels=True)
    count += 1
print(count)
"""
INGEST = """
import sys
from paraspinal.core.settings import load_settings, read_config
from paraspinal.stages.ingest import ingest
tree, out, private = sys.argv[1:4]
over = {"input": tree, "out": out, "private_dir": private, "ingest": {"workers": 1}}
print(ingest(load_settings(read_config(None, over))).n_files)
"""

PEAK = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
"""Peak memory in KiB; the figure of getrusage would be the parent's where that is larger."""


def main() -> None:
    """Run all measurements and report them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="scratch folder (default: a temporary one)")
    parser.add_argument("--files", type=int, nargs="+", default=[20_000, 200_000], help="sizes of the trees of DICOM")
    parser.add_argument("--odd", type=int, default=200_000, help="tiny files that are no images, beside one series")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        work = Path(name)
        exams = write_exams(work / "exams")
        trees = []
        for count in arguments.files:
            tree = work / f"tree-{count}"
            grow(exams, tree, count)
            trees.append(measure(tree, work, with_pydicom=count == arguments.files[0]))
        odd = work / "odd"
        scatter(odd, arguments.odd)
        found = {"machine": machine(), "trees": trees, "odd": measure(odd, work, with_pydicom=False)}
    Path(__file__).with_name("headers.json").write_text(json.dumps(found, indent=1) + "\n")
    print(tables(found))


def write_exams(folder: Path) -> list[bytes]:
    """Write one small exam per vendor; returns the content of every file."""
    for plan in PLANS[:5]:
        write_visit(replace(plan, pixel_mm=PIXEL_MM), folder / plan.folder)
    return [path.read_bytes() for path in sorted(folder.rglob("*.dcm")) if path.stat().st_size]


def grow(exams: list[bytes], tree: Path, count: int) -> None:
    """Write ``count`` files: the exams over and over, each time of other people with other instances."""
    for number in range(count):
        turn, which = divmod(number, len(exams))
        content = UID.sub(lambda found, turn=turn: found[0][:-6] + b"%06d" % (turn + 100_000), exams[which])
        content = content.replace(b"DEMO", b"%04d" % turn)
        folder = tree / f"{turn:05d}"
        if which == 0:
            folder.mkdir(parents=True)
        (folder / f"{which:05d}.dcm").write_bytes(content)


def scatter(tree: Path, count: int) -> None:
    """Write ``count`` files of a few bytes in folders of a thousand."""
    for number in range(count):
        folder = tree / f"{number // 1000:05d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:07d}.dat").write_bytes(b"nothing")


def measure(tree: Path, work: Path, with_pydicom: bool) -> dict[str, Any]:
    """Files per second of CPU and peak memory of a first and a second look at a tree; of pydicom alone if asked."""
    places = [str(tree), str(work / f"{tree.name}-out"), str(work / "private")]
    found = {"first": timed(INGEST, places), "second": timed(INGEST, places)}
    if with_pydicom:
        found["pydicom"] = timed(PYDICOM, places[:1])
    return found


def timed(code: str, arguments: list[str]) -> dict[str, float]:
    """Run Python code that prints how many files it met; returns files, seconds and peak MiB of the process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    command = [sys.executable, "-c", f"{code}\n{PEAK}", *arguments]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = int(lines[0])
    wall = time.monotonic() - began
    return {
        "files": files,
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "files_per_cpu_second": files / cpu,
        "peak_mib": int(lines[1]) / 1024,
    }


def tables(found: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = [f"Machine: {found['machine']}.", ""]
    lines += ["| tree | what | files/s of CPU | wall s | peak MiB |", "|---|---|---|---|---|"]
    names = {"pydicom": "pydicom alone", "first": "first look", "second": "second look, nothing changed"}
    trees = [*((f"{t['first']['files']:,} slices", t) for t in found["trees"])]
    trees.append((f"{found['odd']['first']['files']:,} files of 7 bytes", found["odd"]))
    for name, tree in trees:
        for key, what in names.items():
            if row := tree.get(key):
                rate, wall = row["files_per_cpu_second"], row["wall_seconds"]
                lines.append(f"| {name} | {what} | {rate:,.0f} | {wall:.0f} | {row['peak_mib']:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
