"""A GPU asked for and absent is said before anything is computed, wherever that can be known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import yaml

from paraspinal.core.settings import Settings

_ELSEWHERE = frozenset(
    {"executor", "profile", "software-deployment-method", "deployment-method", "deployment", "sdm"}
    | {"use-conda", "use-apptainer", "use-singularity", "use-envmodules"}
)
"""Options of the engine by which jobs run on another machine, or here with another torch."""


def check_gpu(settings: Settings, profile: Path | None, more: Sequence[str]) -> None:
    """Raise ModelError if the segment jobs want a GPU, will run on this machine, and it has none.

    ``profile`` and ``more`` are the workflow profile and the options the engine is given. Where jobs run elsewhere, or
    torch is not installed beside the command, nothing can be known and nothing is refused.
    """
    if settings.segment.device == "cpu" or not _runs_here(profile, more):
        return
    try:
        from paraspinal.models.device import check_device  # takes seconds to import
    except ModuleNotFoundError:
        return
    check_device(settings.segment.device)


def _runs_here(profile: Path | None, more: Sequence[str]) -> bool:
    """Whether the engine's jobs are processes of this machine, in the environment of the command itself."""
    if os.environ.get("SNAKEMAKE_PROFILE"):
        return False
    words = [part for word in more for part in word.split("=", 1)]
    given = {_option(word): value for word, value in pairwise([*words, ""]) if word.startswith("-")}
    options = {**_read(profile), **given}
    if str(options.get("executor", "")) == "local":
        del options["executor"]
    return not _ELSEWHERE & options.keys()


def _option(word: str) -> str:
    """Name an option of the command line as profiles do."""
    name = word.lstrip("-")
    return "executor" if name == "e" else name


def _read(profile: Path | None) -> dict[str, object]:
    """Options in a workflow profile; none if it cannot be read, which is the engine's to say."""
    if profile is None:
        return {}
    versioned = sorted(profile.glob("config.v*+.yaml"))  # a profile may hold one for each version of the engine
    try:
        found = yaml.safe_load((versioned[-1] if versioned else profile / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
