"""Measure what ten thousand sessions cost the engine: planning, a run with nothing to do, status, what-if, aggregation.

    python benchmarks/scale.py [--parts simulate finished fresh added aggregate paper single]
                               [--sessions 10000] [--work FOLDER]

Beside them stands one job per scan and step, the way workflows are usually written, in the same run. Every step is a
process of its own. Writes benchmarks/scale.json; parts that were not asked for keep what it says. The seconds mean
something on an idle machine only: the load stands beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from measure import machine
from simulated import SCANS, SHARD_SIZE, add_sessions, settings_for, simulate, write_notes

from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.paths import SNAKEFILE
from paraspinal.core.records.notes import note_path
from paraspinal.core.records.registry import INVENTORY_PATH, SHEET_FACTS_PATH, Registry, shard_path

NEW_SESSIONS = 100
PAPER_SESSIONS = 100_000
"""Of so many sessions the registry and the names of the shard tables are made, and nothing in them."""
SINGLE_SESSIONS = 2_000
"""As many in which every session or scan has jobs of its own: planning ten thousand takes too long."""
FOUND = Path(__file__).with_name("scale.json")
_JOBS = re.compile(r"^total +(\d+)", re.MULTILINE)


def main() -> None:
    """Run the parts that are asked for, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--work", type=Path, help="keep the simulated cohort here, and use it when it is there")
    arguments = parser.parse_args()
    found = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        work = arguments.work or Path(name)
        work.mkdir(parents=True, exist_ok=True)
        for part in arguments.parts:
            load = os.getloadavg()[0]
            steps = PARTS[part](work, arguments.sessions)
            for step in steps.values():
                step.pop("said", None)
            found[part] = {"sessions": arguments.sessions, "load_before": load, "steps": steps}
            found["machine"] = machine()
            FOUND.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


def _results(work: Path) -> Path:
    return work / "results"


def simulated(work: Path, sessions: int) -> dict[str, Any]:
    """Write the cohort, its tables and its report, and let the engine believe it has made them."""
    results = _results(work)
    if (work / "simulated").exists():
        return {}
    shutil.rmtree(results, ignore_errors=True)
    _apart(simulate, results, sessions)
    for name in ("aggregate", "report"):
        run([sys.executable, "-m", "paraspinal", "stage", name, "--out", str(results)])
    engine(results, "--touch", "--forceall")
    write_notes(results)
    (work / "simulated").touch()
    return {}


def finished(work: Path, sessions: int) -> dict[str, Any]:
    """Everything is done: planning, a whole run with nothing to do, status, and what a change would compute."""
    results = _results(work)
    ours = [sys.executable, "-m", "paraspinal"]
    found = {
        "planning, nothing to do": engine(results, "--dry-run"),
        "run, nothing to do": engine(results),
        "status": run([*ours, "status", "--out", str(results)]),
        "plan, nothing to do": run([*ours, "plan", "--out", str(results)]),
        "plan, other measure parameter": run(
            [*ours, "plan", "--out", str(results), "--set", "measure.min_coverage_frac=0.9"]
        ),
    }
    for note in results.glob("shards/*/*.progress.json"):
        note.unlink()
    found["status from the tables alone"] = run([*ours, "status", "--out", str(results)])
    write_notes(results)
    return found


def fresh(work: Path, sessions: int) -> dict[str, Any]:
    """Nothing is done but the look at the input."""
    results = work / "fresh" / "results"
    _ingested(_results(work), results)
    return {"planning, everything to do": engine(results, "--dry-run")}


def added(work: Path, sessions: int) -> dict[str, Any]:
    """A hundred sessions more: what the engine would start, and which items of those jobs are computed."""
    results = work / "added" / "results"
    shutil.rmtree(results, ignore_errors=True)
    shutil.copytree(_results(work), results, copy_function=_link)
    _apart(add_sessions, results, NEW_SESSIONS)
    planned = run([sys.executable, "-m", "paraspinal", "plan", "--json", "--out", str(results)])
    stages = json.loads(planned.pop("said"))["stages"]
    items = {line["stage"]: {name: line[name] for name in ("compute", "maybe", "reuse")} for line in stages}
    return {"planning": engine(results, "--dry-run"), "plan": {**planned, "items": items}}


def single(work: Path, sessions: int) -> dict[str, Any]:
    """Two thousand sessions: in shards, a job per session and step, a job per scan and step as one would write it."""
    found = {}
    for name, size in (("shards", SHARD_SIZE), ("one job per session and step", 1)):
        results = _clean(work / "single" / "results")
        _looked_at(results, _results(work), SINGLE_SESSIONS, size)
        found[f"planning, {name}"] = engine(results, "--dry-run", shard_size=size)
    scans = _clean(work / "scans")
    (scans / "Snakefile").write_text(_per_scan(SINGLE_SESSIONS * len(SCANS)))
    (scans / "in").mkdir()
    for number in range(SINGLE_SESSIONS * len(SCANS)):
        (scans / "in" / f"{number}").touch()
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "2"]
    command += ["--scheduler", "greedy", "--directory", str(scans), "--snakefile", str(scans / "Snakefile")]
    found["planning, one job per scan and step"] = _jobs(run(command))
    return found


def _per_scan(n: int) -> str:
    """A workflow of one job per scan and step, with none of our code in it."""
    rules = [f"rule all:\n    input: expand('{SHARD_STAGES[-1]}/{{scan}}', scan=range({n}))\n"]
    for before, name in zip(("in", *SHARD_STAGES), SHARD_STAGES, strict=False):
        rules.append(
            f"rule {name}:\n    input: '{before}/{{scan}}'\n    output: '{name}/{{scan}}'\n"
            f"    log: 'logs/{name}/{{scan}}'\n    shell: 'touch {{output}}'\n"
        )
    return "\n".join(rules)


def paper(work: Path, sessions: int) -> dict[str, Any]:
    """A hundred thousand sessions: planning before the first job and after the last, and status."""
    results = _clean(work / "paper" / "results")
    registry = _looked_at(results, _results(work), PAPER_SESSIONS, SHARD_SIZE)
    found = {"planning, everything to do": engine(results, "--dry-run")}
    for name in SHARD_STAGES:
        for path in _names(results, registry.shard_numbers, name):
            path.parent.mkdir(parents=True, exist_ok=True)
            _link(str(shard_path(_results(work), name, 1)), str(path))
            _link(str(note_path(_results(work), name, 1)), str(path.with_suffix(".progress.json")))
    for folder in ("tables", "report"):
        shutil.copytree(_results(work) / folder, results / folder)
    found["planning, nothing to do"] = engine(results, "--dry-run")
    found["status"] = run([sys.executable, "-m", "paraspinal", "status", "--out", str(results)])
    return found


def aggregated(work: Path, sessions: int) -> dict[str, Any]:
    """The cohort tables, the slices among them."""
    found = run([sys.executable, "-m", "paraspinal", "stage", "aggregate", "--out", str(_results(work))])
    for path in (_results(work) / "report").iterdir():
        path.touch()  # which says the same as before
    return {"aggregate": found}


PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "simulate": simulated, "finished": finished, "fresh": fresh, "added": added, "aggregate": aggregated,
    "paper": paper, "single": single,
}  # fmt: skip


def _apart(function: Callable[..., Any], *arguments: Any) -> None:
    """Call in a process of its own: what this one once held would count as a peak of all it starts."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(function, *arguments).result()


def _clean(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _names(results: Path, shards: Any, stage: str) -> list[Path]:
    return [shard_path(results, stage, shard) for shard in shards]


def _link(source: str, target: str) -> None:
    os.link(source, target)


def _ingested(source: Path, results: Path) -> None:
    """What a look at the input leaves of a cohort."""
    shutil.copytree(source / "registry", _clean(results) / "registry")
    for name in ("shards", "receipts"):
        shutil.copytree(source / name / "ingest", results / name / "ingest")
    _stand_in(results, source, [])


def _looked_at(results: Path, source: Path, sessions: int, shard_size: int) -> Registry:
    """What a look at the input leaves of so many sessions, as far as planning reads it."""
    registry = Registry({}).deal([(f"{number:012d}", "0") for number in range(sessions)], shard_size)
    registry.write(results)
    _stand_in(results, source, _names(results, registry.shard_numbers, "ingest"))
    return registry


def _stand_in(results: Path, source: Path, tables: list[Path]) -> None:
    """Inventory and stamp of another cohort, and its first ingest table for every shard: planning reads none."""
    for path in tables:
        path.parent.mkdir(parents=True, exist_ok=True)
        _link(str(shard_path(source, "ingest", 1)), str(path))
    for name in (INVENTORY_PATH, SHEET_FACTS_PATH):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, results / name)
    (results / "shards" / "ingest.done").touch()


def engine(results: Path, *more: str, shard_size: int = SHARD_SIZE) -> dict[str, Any]:
    """Call the engine on a results folder as a run does; with how many jobs it found to do."""
    settings = settings_for(results)
    config = [f"out={results}", f"private_dir={settings.private_dir}", f"shard_size={shard_size}"]
    command = [sys.executable, "-m", "snakemake", "all", "--snakefile", str(SNAKEFILE), "--directory", str(results)]
    command += ["--cores", "2", "--scheduler", "greedy", "--rerun-incomplete", "--keep-going", "--quiet", "rules"]
    return _jobs(run([*command, *more, "--config", *config]))


def _jobs(found: dict[str, Any]) -> dict[str, Any]:
    counted = _JOBS.search(found.pop("said"))
    return {**found, "jobs": int(counted[1]) if counted else 0}


def run(command: list[str]) -> dict[str, Any]:
    """Run a command to its end: wall and processor seconds, peak memory of the largest process, and what it said."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed\n{text[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    seconds = {"seconds": round(time.monotonic() - began, 2), "cpu_seconds": round(cpu, 2)}
    return {**seconds, "peak_mib": round(usage.ru_maxrss / 1024), "said": text}


def table(found: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = [
        f"Machine: {found['machine']}.",
        "",
        "| part | step | jobs | wall s | processor s | peak MiB | load before |",
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for part in PARTS:
        for name, row in found.get(part, {}).get("steps", {}).items():
            numbers = f"{row['seconds']:.1f} | {row['cpu_seconds']:.1f} | {row['peak_mib']:,}"
            jobs = f"{row['jobs']:,}" if "jobs" in row else ""
            lines.append(f"| {part} | {name} | {jobs} | {numbers} | {found[part]['load_before']:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
