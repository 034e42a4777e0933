#!/usr/bin/env python3
"""Start a job script of the engine as a Kubernetes Job and print its name: submit.py JOBSCRIPT.

The engine writes what a job needs into the second line of its script. Names hold rules and shards, nothing of people.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

IMAGE = "registry.example.org/paraspinal:0.1.0"
"""Built from envs/Dockerfile and pushed to where the cluster finds it; the same that `paraspinal run` is started in."""
CLAIM, MOUNT = "paraspinal", "/data"
"""A volume claim that many nodes may write to (ReadWriteMany), and where it is mounted."""
GPU = "nvidia.com/gpu"
"""What the cluster calls a GPU."""
HANDED_ON = ("HOME", "XDG_CACHE_HOME", "PYTHONSAFEPATH", "PYTHONNOUSERSITE")
"""Folders of the starting pod that the others use too, on the volume; and what keeps Python from foreign packages."""


def main(script: Path) -> int:
    """Submit a script."""
    described = re.search(r"^# properties = (.*)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    if not described:
        sys.exit("submit.py: this is no job script of the engine")
    body = manifest(script.absolute(), json.loads(described[1]))
    created = subprocess.run(
        ["kubectl", "create", "--filename=-"], input=json.dumps(body), text=True, stdout=sys.stderr, check=False
    )
    if not created.returncode:
        print(body["metadata"]["name"])
    return created.returncode


def manifest(script: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Describe the Job: one pod, never restarted, for it is the engine that tries again."""
    needs, labels = job["resources"], {"app": "paraspinal"}
    words = ["paraspinal", job.get("rule") or job["groupid"], *map(str, job.get("wildcards", {}).values())]
    amounts = {"cpu": str(job["threads"]), "memory": f"{needs['mem_mb']}M"}
    if needs.get("gpu"):
        amounts[GPU] = str(needs["gpu"])
    container = {
        "name": "stage",
        "image": IMAGE,
        "command": ["/bin/sh", str(script)],
        "workingDir": str(Path.cwd()),
        "env": [{"name": name, "value": os.environ[name]} for name in HANDED_ON if name in os.environ],
        "resources": {"requests": amounts, "limits": amounts},
        "volumeMounts": [{"name": "data", "mountPath": MOUNT}],
    }
    pod = {
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": os.getuid(), "runAsGroup": os.getgid()},
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "-".join([*words, uuid.uuid4().hex[:8]]), "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(needs["runtime"]) * 60,
            "ttlSecondsAfterFinished": 3600,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
