"""A Slurm cluster of two nodes on one machine, for a test session: real daemons, nothing outside one folder.

Works as root and as an ordinary user, without systemd, cgroups or an accounting database. Debian's packages slurmctld,
slurmd, slurm-client and munge are enough.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
CLIENTS = ("srun", "squeue", "sacct", "scontrol", "scancel", "sinfo", "sacctmgr", "sshare")
SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
NODES = ("node1", "node2")
CPUS, MEMORY_MB, GPUS = 8, 64000, 1
"""What each node claims to have; jobs here are small, their requests are not."""

CONFIGURATION = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# Requeued jobs wait as long as credentials live.
AuthInfo=socket={root}/munge/socket,cred_expire=6
CredType=cred/munge
SlurmctldPort={port}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PropagateResourceLimits=NONE
GresTypes=gpu
MinJobAge=3600
KillWait=1
SlurmdTimeout=300
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=OFF
PartitionName=gpu Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=OFF
PartitionName=spare Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=100 PreemptMode=OFF
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} Gres=gpu:{gpus}"
)

SBATCH = """\
#!/bin/sh
# Records every submission; a file {root}/next/<comment> gives the next one with this comment further options, once.
export SLURM_CONF={root}/etc/slurm.conf
more=
for file in {root}/next/*; do
  case " $* " in *" --comment ${{file##*/}} "*|*" --comment=${{file##*/}} "*) more=$(cat "$file"); rm "$file";; esac
done
printf '%s\\n' "$*" >> {root}/log/sbatch.log
exec {command} "$@" $more
"""


def missing() -> list[str]:
    """Programs of Slurm that this machine lacks."""
    return [name for name in NEEDED if shutil.which(name, path=SYSTEM_PATH) is None]


def wait_until(what: str, condition: Callable[[], object], seconds: float, step: float = 0.05) -> None:
    """Poll until ``condition`` holds; fails naming ``what`` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(step)


@dataclass
class Lab:
    """The cluster; everything it writes lies below ``root``."""

    root: Path
    port: int = field(default_factory=lambda: _free_ports(len(NODES) + 1))

    def start(self) -> None:
        """Start all daemons and wait until both nodes take jobs."""
        for name in ("etc", "run", "log", "state", "spool", "dev", "bin", "next", "munge"):
            (self.root / name).mkdir(parents=True)
        for name in NODES:
            (self.root / "spool" / name).mkdir()
        (self.root / "munge").chmod(0o755)
        self._write_configuration()
        key = self.root / "etc" / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        munge = self.root / "munge"
        self._daemon(
            *("munged", "--force", f"--key-file={key}", f"--socket={munge}/socket"),
            *(f"--pid-file={self.root}/run/munged.pid", f"--log-file={self.root}/log/munged.log"),
            *(f"--seed-file={self.root}/etc/munge.seed", "--num-threads=2"),
        )
        self.start_controller()
        for name in NODES:
            self.start_node(name)
        wait_until("both nodes idle", lambda: self.ask("sinfo", "-h", "-N", "-o", "%T").count("idle") >= 2, 30)

    def _write_configuration(self) -> None:
        host = socket.gethostname().split(".")[0]
        nodes = "\n".join(
            NODE.format(name=name, host=host, port=self.port + 1 + k, cpus=CPUS, memory=MEMORY_MB, gpus=GPUS)
            for k, name in enumerate(NODES)
        )
        etc = self.root / "etc"
        etc.joinpath("slurm.conf").write_text(
            CONFIGURATION.format(host=host, user=getpass.getuser(), root=self.root, port=self.port, nodes=nodes)
        )
        # A GPU that is only counted makes the node invalid: it needs a file, and any will do.
        devices = [self.root / "dev" / f"{name}-gpu0" for name in NODES]
        for device in devices:
            device.touch()
        etc.joinpath("gres.conf").write_text(
            "".join(f"NodeName={n} Name=gpu File={d}\n" for n, d in zip(NODES, devices, strict=True))
        )
        # The executor's job step drops SLURM_CONF before it calls srun: these go before the real ones.
        for name in CLIENTS:
            if real := shutil.which(name, path=SYSTEM_PATH):
                self._script(name, f'#!/bin/sh\nSLURM_CONF={etc}/slurm.conf exec {real} "$@"\n')
        self._script("sbatch", SBATCH.format(root=self.root, command=shutil.which("sbatch", path=SYSTEM_PATH)))

    def _script(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which the cluster's commands are found."""
        return {**os.environ, "PATH": f"{self.root}/bin:{SYSTEM_PATH}"}

    def _daemon(self, *command: str) -> None:
        environment = {**self.environment, "SLURM_CONF": str(self.root / "etc" / "slurm.conf")}
        with (self.root / "log" / "daemons.log").open("a") as log:
            subprocess.run(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=True)

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._daemon("slurmctld")
        wait_until("the controller answers", lambda: "is UP" in self.ask("scontrol", "ping"), 20)

    def start_node(self, name: str) -> None:
        """Start the slurmd of a node."""
        self._daemon("slurmd", "-N", name)

    def kill(self, daemon: str) -> None:
        """Kill a daemon with SIGKILL: slurmctld, or a node by its name."""
        os.kill(self._pid(daemon), signal.SIGKILL)
        wait_until(f"{daemon} is dead", lambda: not _is_alive(self._pid(daemon)), 10)

    def _pid(self, daemon: str) -> int:
        return int((self.root / "run" / f"{daemon}.pid").read_text())

    def stop(self) -> None:
        """Cancel all jobs and end all daemons."""
        with suppress(subprocess.TimeoutExpired):
            self.ask("scancel", "--user", getpass.getuser())
        for name in (*NODES, "slurmctld", "munged"):
            with suppress(OSError, ValueError):
                pid = self._pid(name)
                os.kill(pid, signal.SIGTERM)
                wait_until(f"{name} ends", lambda pid=pid: not _is_alive(pid), 10)

    def ask(self, *command: str) -> str:
        """Output of one of Slurm's commands."""
        return subprocess.run(
            [str(self.root / "bin" / command[0]), *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        ).stdout

    def tell(self, *command: str) -> None:
        """Run one of Slurm's commands, which has to succeed."""
        subprocess.run([str(self.root / "bin" / command[0]), *command[1:]], check=True, timeout=60, capture_output=True)

    def jobs(self) -> list[dict[str, str]]:
        """All jobs since the start, oldest first, as Slurm itself records them."""
        lines = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        jobs = [dict(re.findall(r"(\S+?)=(.*?)(?= \S+=|$)", line.strip())) for line in lines if "JobId=" in line]
        return sorted(jobs, key=lambda job: int(job["JobId"]))

    def next_submission(self, comment: str, options: str) -> None:
        """Give the next job submitted with this comment further options, which go before its own."""
        (self.root / "next" / comment).write_text(options)

    def submissions(self) -> list[str]:
        """The arguments of every call of sbatch."""
        log = self.root / "log" / "sbatch.log"
        return log.read_text().splitlines() if log.exists() else []


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _free_ports(count: int) -> int:
    """The first of some consecutive ports that nobody listens on."""
    for first in range(16817, 60000, count):
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
            return first
    raise OSError("no free ports")
