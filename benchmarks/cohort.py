"""Measure what a cohort of ten thousand sessions costs: aggregation, report, export, and a query over the tables.

    python benchmarks/cohort.py [--sessions 10000] [--work FOLDER]

Beside them stands what a user would run otherwise: a CSV per scan, read and joined with pandas. Every step is a process
of its own, so that its peak memory is its own. Writes benchmarks/cohort.json and prints the table of README.md. With
--work the simulated cohort is kept, and used again when it is there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import machine

QUERY = """
SELECT s.sex, m.sequence, m.muscle, m.side, m.level, count(DISTINCT m.subject) AS people,
       median(m.acsa_mm2) AS acsa_mm2, avg(m.fi) AS fi
FROM '{tables}/metrics.parquet' AS m JOIN '{tables}/scans.parquet' AS s USING (subject, session, scan_id)
WHERE m.level_scheme = 'vertebra_slab' AND m.fi_method IN ('dixon_ff_ratio_of_sums', 't1t2_sat_anchored')
  AND s.light <> 'red'
GROUP BY ALL ORDER BY ALL
"""
"""Median size and mean fat by sex, sequence, muscle, side and level."""
REPEATS = 3


def main() -> None:
    """Simulate a cohort, run every step on it, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--step", choices=("simulate", "split", "query", "concat"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        {"simulate": simulate, "split": split, "query": query, "concat": concat}[arguments.step](
            arguments.work, arguments.sessions
        )
        return
    with tempfile.TemporaryDirectory() as name:
        work = arguments.work or Path(name)
        found = measure(work, arguments.sessions)
    Path(__file__).with_name("cohort.json").write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


def measure(work: Path, sessions: int) -> dict[str, Any]:
    """Run every step in a process of its own."""
    out = work / "results"
    if not (work / "simulated").exists():
        step("simulate", work, sessions)
        (work / "simulated").touch()
    package = [sys.executable, "-m", "paraspinal"]
    steps = {
        "aggregate": run([*package, "stage", "aggregate", "--out", str(out)]),
        "report": run([*package, "stage", "report", "--out", str(out)]),
        "wide export, CSV": run([*package, "export", str(work / "wide.csv"), "--out", str(out)]),
        "query, DuckDB": step("query", work, sessions),
    }
    if not (work / "csv").exists():
        step("split", work, sessions)
    steps["the same query: read 1 CSV a scan, concat, group with pandas"] = step("concat", work, sessions)
    from simulated import n_rows

    sizes = {path.name: path.stat().st_size for path in [*(out / "tables").glob("*.parquet"), work / "wide.csv"]}
    sizes["report/index.html"] = (out / "report" / "index.html").stat().st_size
    return {
        "machine": machine(),
        "load": os.getloadavg()[0],
        "sessions": sessions,
        "rows": n_rows(out),
        "bytes": sizes,
        "steps": steps,
    }


def step(name: str, work: Path, sessions: int) -> dict[str, float]:
    """Run a step of this script in a process of its own; a step may say seconds of its own on its last line."""
    return run([sys.executable, __file__, "--step", name, "--work", str(work), "--sessions", str(sessions)])


def run(command: list[str]) -> dict[str, float]:
    """Run a command; returns wall and processor seconds, peak memory, and what it measured of itself."""
    began = time.monotonic()
    reader, writer = os.pipe()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
    os.close(writer)
    with os.fdopen(reader) as handle:
        said = handle.read().splitlines()
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    own = json.loads(said[-1]) if said and said[-1].startswith("{") else {}
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": time.monotonic() - began, "cpu_seconds": cpu, "peak_mib": usage.ru_maxrss / 1024, **own}


def simulate(work: Path, sessions: int) -> None:
    """Write what a run would have left."""
    from simulated import simulate as write

    write(work / "results", sessions)


def query(work: Path, sessions: int) -> None:
    """Time the query alone, without the start of Python: the median of a few."""
    import duckdb

    text = QUERY.format(tables=work / "results" / "tables")
    times = []
    for _ in range(REPEATS):
        began, used = time.monotonic(), time.process_time()
        duckdb.sql(text).fetchall()
        times.append((time.monotonic() - began, time.process_time() - used))
    wall, cpu = sorted(times)[len(times) // 2]
    print(json.dumps({"query_seconds": wall, "query_cpu_seconds": cpu}))


def split(work: Path, sessions: int) -> None:
    """Write the metrics as one CSV per scan, as tools that work scan by scan leave them."""
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    (work / "csv").mkdir()
    with pq.ParquetFile(work / "results" / "tables" / "metrics.parquet") as file:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            scans = rows["scan_id"].to_pylist()
            starts = [k for k in range(len(scans)) if k == 0 or scans[k] != scans[k - 1]]
            for start, end in zip(starts, [*starts[1:], len(scans)], strict=True):
                csv.write_csv(rows.slice(start, end - start), work / "csv" / f"{scans[start]}.csv")


def concat(work: Path, sessions: int) -> None:
    """Answer the query's question from the CSV files with pandas."""
    import pandas as pd

    rows = pd.concat([pd.read_csv(path) for path in sorted((work / "csv").glob("*.csv"))], ignore_index=True)
    scans = pd.read_parquet(work / "results" / "tables" / "scans.parquet", columns=["scan_id", "sex", "light"])
    methods = ["dixon_ff_ratio_of_sums", "t1t2_sat_anchored"]
    rows = rows[(rows["level_scheme"] == "vertebra_slab") & rows["fi_method"].isin(methods)]
    rows = rows.merge(scans[scans["light"] != "red"], on="scan_id")
    rows.groupby(["sex", "sequence", "muscle", "side", "level"]).agg(
        people=("subject", "nunique"), acsa_mm2=("acsa_mm2", "median"), fi=("fi", "mean")
    )


def table(found: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = [f"Machine: {found['machine']}, load {found['load']:.0f}. {found['sessions']:,} sessions.", ""]
    lines += ["| step | wall s | processor s | peak MiB |", "|---|---|---|---|"]
    for name, row in found["steps"].items():
        wall, cpu = row.get("query_seconds", row["seconds"]), row.get("query_cpu_seconds", row["cpu_seconds"])
        lines.append(f"| {name} | {wall:.1f} | {cpu:.1f} | {row['peak_mib']:,.0f} |")
    lines += ["", f"Rows: {found['rows']}", f"MB: { {k: round(v / 1e6, 1) for k, v in found['bytes'].items()} }"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
