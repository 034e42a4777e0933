"""The configuration, checked against a closed schema and frozen."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from paraspinal.core.errors import ConfigError
from paraspinal.core.paths import DEFAULT_CONFIG, PROJECT, SCHEMAS

log = logging.getLogger(__name__)

PRIVATE = {
    "ingest": ("people_sheet", "override_sheet", "participants_sheet"),
    "levels": ("levels_sheet",),
    "train": ("cohort_sheet", "label_sheet"),
}
"""Keys that, like ``input``, name files of the user's that may name people."""

RENAMED = {"breaker": "failure_limit", "measure.min_ring_ff_frac": "measure.min_subcutaneous_ff"}
"""Keys of version 0.1.0 and their names of today; the old ones go with version 0.2.0."""


@dataclass(frozen=True)
class IngestSettings:
    """Reading the input."""

    workers: int
    max_series_files: int
    max_archive_gib: float
    people_sheet: str
    override_sheet: str
    participants_sheet: str


@dataclass(frozen=True)
class SegmentSettings:
    """Running the models."""

    models_folder: str
    muscles_model: str
    spine_model: str
    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class LevelsSettings:
    """Finding levels."""

    max_disc_angle_deg: float
    max_shift_mm: float
    levels_sheet: str


@dataclass(frozen=True)
class MeasureSettings:
    """Measuring."""

    min_coverage_frac: float
    min_subcutaneous_ff: float
    n4: bool


@dataclass(frozen=True)
class QualitySettings:
    """Judging."""

    max_side_ratio: float
    max_csa_jump_frac: float
    max_component_frac: float
    max_robust_z: float
    min_peers: int


@dataclass(frozen=True)
class AgreementSettings:
    """Margins within which a method counts as equivalent to its reference."""

    margin_size_pct: float
    margin_dixon_fi_pp: float
    margin_t1t2_fi_pp: float


@dataclass(frozen=True)
class TrainSettings:
    """Training a model."""

    cohort_sheet: str
    label_sheet: str
    name: str
    start_model: str
    synthetic_frac: float
    steps: int


@dataclass(frozen=True)
class FailureLimitSettings:
    """When so much fails that the cohort cannot be trusted."""

    max_failed_frac: float
    min_items: int


@dataclass(frozen=True)
class Settings:
    """Everything a run can be told; see ``config/config.yaml`` for units and meaning."""

    input: str
    out: str
    private_dir: str
    shard_size: int
    ingest: IngestSettings
    segment: SegmentSettings
    levels: LevelsSettings
    measure: MeasureSettings
    quality: QualitySettings
    agreement: AgreementSettings
    failure_limit: FailureLimitSettings
    train: TrainSettings

    @property
    def private_path(self) -> Path:
        """The private folder, expanded."""
        return Path(self.private_dir).expanduser()

    @property
    def out_path(self) -> Path:
        """The results folder, absolute."""
        return Path(self.out)

    @property
    def models_path(self) -> Path:
        """The folder with models.tsv; a relative path is relative to the project."""
        return PROJECT / Path(self.segment.models_folder).expanduser()

    def public(self) -> dict[str, Any]:
        """The configuration as it may stand in the results: without what :meth:`private_paths` names."""
        hidden = {group: dict.fromkeys(names, "(private)") for group, names in PRIVATE.items()}
        return merge({**asdict(self), "out": "."}, {"input": "(private)", **hidden})

    def private_paths(self) -> dict[str, Any]:
        """Paths that may name people, nested as in the configuration: the input and the user's sheets."""
        named = {
            group: {name: getattr(getattr(self, group), name) for name in names} for group, names in PRIVATE.items()
        }
        return {"input": self.input, **named}


_GROUPS = {
    "ingest": IngestSettings,
    "segment": SegmentSettings,
    "levels": LevelsSettings,
    "measure": MeasureSettings,
    "quality": QualitySettings,
    "agreement": AgreementSettings,
    "failure_limit": FailureLimitSettings,
    "train": TrainSettings,
}


@cache
def _schema() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text(encoding="utf-8"))
    return found


def load_settings(config: dict[str, Any]) -> Settings:
    """Check a merged configuration and freeze it; relative folders are relative to the working directory of now.

    Keys of the version before are taken under their names of today, with a notice. Raises ConfigError naming the key
    that is wrong.
    """
    config = _with_present_names(config)
    errors = sorted(jsonschema.Draft202012Validator(_schema()).iter_errors(config), key=lambda e: list(e.path))
    if errors:
        error = errors[0]
        where = ".".join(str(p) for p in error.path) or "the top level"
        raise ConfigError(f"configuration, {where}: {error.message}", hint="config/config.yaml lists every key")
    sheets = {group: {name: _absolute(config[group][name]) for name in names} for group, names in PRIVATE.items()}
    found = merge(config, {"out": _absolute(config["out"]), "input": _absolute(config["input"]), **sheets})
    if not config["private_dir"].startswith("~"):  # somebody's home stays ``~``, for this is written into the results
        found["private_dir"] = _absolute(config["private_dir"])
    return Settings(**{k: _GROUPS[k](**v) if k in _GROUPS else v for k, v in found.items()})


def _with_present_names(config: dict[str, Any]) -> dict[str, Any]:
    """Rename old keys; what was said under the old name wins, for the default stands under the new one."""
    found = config
    for old, new in RENAMED.items():
        group, _, name = old.rpartition(".")
        holder = found.get(group) if group else found
        if isinstance(holder, dict) and name in holder:
            log.warning("configuration: %s is now called %s; the old name goes with the next version", old, new)
            kept = {key: value for key, value in holder.items() if key != name}
            kept = merge(kept, {new.rpartition(".")[2]: holder[name]})
            found = {**found, group: kept} if group else kept
    return found


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if path else ""


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; ``over`` wins."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def read_config(path: Path | None, over: dict[str, Any]) -> dict[str, Any]:
    """Read the default configuration, a user's file on top, and single values on top of that.

    Raises ConfigError if the file is missing or is not YAML with keys and values.
    """
    config: dict[str, Any] = yaml.safe_load(DEFAULT_CONFIG.read_text(encoding="utf-8"))
    if path is not None:
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            raise ConfigError(
                "the configuration file cannot be read", hint="expected YAML, see config/config.yaml"
            ) from None
        if not isinstance(found, dict):
            raise ConfigError("the configuration file has no keys", hint="expected YAML, see config/config.yaml")
        config = merge(config, found)
    return merge(config, over)
