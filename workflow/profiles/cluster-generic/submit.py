#!/usr/bin/env python3
"""Submit a job script of the engine to Slurm and print the job's number: submit.py JOBSCRIPT.

The engine writes what a job needs into the second line of its script. Names hold rules and shards, nothing of people.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

LOGS = Path("logs/cluster")


def main(script: Path) -> int:
    """Submit a script."""
    described = re.search(r"^# properties = (.*)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    if not described:
        sys.exit("submit.py: this is no job script of the engine")
    job = json.loads(described[1])
    needs = job["resources"]
    name = "_".join([job.get("rule") or job["groupid"], *map(str, job.get("wildcards", {}).values())])
    options = [
        *("--parsable", "--requeue", f"--job-name=paraspinal_{name}", f"--comment={job['type']}_{name}"),
        *(f"--output={LOGS}/{name}-%j.log", "--ntasks=1", f"--cpus-per-task={job['threads']}"),
        *(f"--mem={needs['mem_mb']}", f"--time={needs['runtime']}", f"--partition={needs['slurm_partition']}"),
    ]
    if needs.get("gpu"):
        options.append(f"--gpus={':'.join(str(part) for part in (needs.get('gpu_model'), needs['gpu']) if part)}")
    options += [f"--{option}={needs[key]}" for option, key in OPTIONAL.items() if needs.get(key)]
    LOGS.mkdir(parents=True, exist_ok=True)
    return subprocess.run(["sbatch", *options, str(script)], check=False).returncode


OPTIONAL = {"account": "slurm_account", "constraint": "constraint", "qos": "qos"}
"""Options of sbatch, and the resources of the profile that give them."""

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
