"""The configuration: every key with its meaning, unit, bounds and default, checked and frozen.

``config/config.yaml`` and the schema for editors are written from here (`make config`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from paraspinal.core.errors import ConfigError
from paraspinal.core.paths import PROJECT

log = logging.getLogger(__name__)

PRIVATE = {
    "ingest": ("people_sheet", "override_sheet", "participants_sheet"),
    "levels": ("levels_sheet",),
    "train": ("cohort_sheet", "label_sheet"),
}
"""Keys that, like ``input``, name files of the user's that may name people."""

RENAMED = {"breaker": "failure_limit", "measure.min_ring_ff_frac": "measure.min_subcutaneous_ff"}
"""Keys of version 0.1.0 and their names of today; the old ones go with version 0.2.0."""

_HINT = "config/config.yaml lists every key"
_MODEL = "[a-z0-9_-]+@[0-9]+[.][0-9]+[.][0-9]+"
Text = Annotated[str, Field(min_length=1)]
ModelName = Annotated[str, Field(pattern=f"^{_MODEL}$")]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Group(BaseModel):
    """Keys that belong together; closed and frozen. Numbers may be text, as the engine's command line gives them."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_not_yes_or_no(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("is true or false")
        return value


class IngestSettings(Group):
    """Reading the input."""

    workers: Count = Field(default=2, description="Processes that read headers (count).")
    max_series_files: Count = Field(
        default=20000,
        description="A series with more files than this is refused (files); guards against runaway exports.",
    )
    max_archive_gib: Positive = Field(
        default=50,
        description="A zip or tar of DICOM is read where it lies, but not beyond this size when inflated (GiB); guards "
        "against bombs.",
    )
    people_sheet: str = Field(
        default="",
        description="Sheet that says whose images they are where headers do not, or are wrong. Tab-separated, with a "
        "header line: any of path (file or folder below the input, * allowed), patient_id, study_uid, series_uid; then "
        "person; optionally visit. The first row that fits decides; an empty cell fits all. It names people: keep it "
        "as private as the images.",
    )
    override_sheet: str = Field(
        default="",
        description="Sheet that corrects what the headers say. Tab-separated, with a header line: id (a stack_id, "
        "series_id or protocol_id of the inventory), then any of sequence, dixon_part, is_fat_suppressed (yes, no), "
        "body_region and use (yes, no). An empty cell leaves things as found.",
    )
    participants_sheet: str = Field(
        default="",
        description="Sheet with what is known of people beside their images. Tab-separated, with a header line: person "
        "(the patient ID, or the person of the people sheet) or subject (their pseudonym); then any of sex (F, M, O), "
        "age_years at the first visit, height_cm, weight_kg, bmi_kg_m2, centre, and columns of your own. Names of "
        "people do not belong in them.",
    )


class SegmentSettings(Group):
    """Running the models."""

    models_folder: Text = Field(
        default="resources",
        description="Folder with models.tsv (name, version, task, path, sha256, licence, card) and the models it "
        "names. Relative to the project, or absolute.",
    )
    muscles_model: ModelName = Field(
        default="muscles@0.2.0", description="Model that outlines the muscles, name@version."
    )
    spine_model: ModelName = Field(default="spine@0.2.0", description="Model that finds the vertebrae, name@version.")
    device: Literal["cpu", "cuda"] = Field(
        default="cpu", description="cpu or cuda. cuda without a GPU is an error, never a silent run on the CPU."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Arithmetic of the convolutions: float32, or bfloat16, which halves the time on a processor or GPU "
        "that has it and moves some voxels at the rim of a muscle (tolerance: config/README.md).",
    )
    threads: Count = Field(
        default=2,
        description="Scans that one segment job works on side by side, one CPU thread each (count). Each takes up to "
        "1 GiB.",
    )


class LevelsSettings(Group):
    """Finding levels."""

    max_disc_angle_deg: float = Field(
        default=15,
        gt=0,
        le=45,
        description="A group of oblique slices belongs to a disc when their normals differ by at most this (degrees).",
    )
    max_shift_mm: Positive = Field(
        default=5,
        description="Levels come from a sagittal scan. Where the patient seems to have moved by more than this between "
        "the two scans (mm), found by matching one image to the other, the levels are flagged.",
    )
    levels_sheet: str = Field(
        default="",
        description="Sheet with levels set by hand, which override the model's. Tab-separated, with a header line: id "
        "(a stack_id or series_id of the inventory), then lowest (of a spine scan: the name of its lowest vertebra "
        "above the sacrum), or level, first_slice and last_slice (of a muscle scan: slices counted from 0).",
    )


class MeasureSettings(Group):
    """Measuring."""

    min_coverage_frac: Fraction = Field(
        default=0.95, description="Least share of a level inside the scan for a volume to be given (fraction, 0 to 1)."
    )
    min_subcutaneous_ff: Fraction = Field(
        default=0.8,
        description="Least fat fraction of subcutaneous fat in a sound Dixon pair (fraction); below it a swap or scale "
        "fault is suspected.",
    )
    n4: bool = Field(
        default=False,
        description="Even out the brightness of T1w and T2w images (N4) before fat is read off them: true or false. "
        "Never done to Dixon.",
    )


class QualitySettings(Group):
    """Flagging."""

    max_side_ratio: float = Field(
        default=1.5, ge=1, description="Left/right volume ratio beyond this, or below its inverse, is flagged (ratio)."
    )
    max_csa_jump_frac: Positive = Field(
        default=0.4,
        description="Change of cross-section between neighbouring slices beyond this is flagged (fraction).",
    )
    max_component_frac: Fraction = Field(
        default=0.05, description="A second component with more than this share of the volume is flagged (fraction)."
    )
    max_robust_z: Positive = Field(
        default=3.5,
        description="A size or fat infiltration this far from the median of comparable scans - same muscle, side, "
        "level, sequence and sex - is flagged (robust standard deviations).",
    )
    min_peers: int = Field(default=20, ge=3, description="Fewest comparable scans for that (count).")


class AgreementSettings(Group):
    """Margins within which a method counts as equivalent to its reference."""

    margin_size_pct: Positive = Field(
        default=5,
        description="Equivalence margin of volumes and cross-sections, and of whatever has no other (% of the "
        "reference mean).",
    )
    margin_dixon_fi_pp: Positive = Field(
        default=1, description="Equivalence margin of Dixon fat infiltration (percentage points)."
    )
    margin_t1t2_fi_pp: Positive = Field(
        default=2, description="Equivalence margin of fat infiltration on T1w and T2w (percentage points)."
    )


class FailureLimitSettings(Group):
    """When so much fails that the cohort stops."""

    max_failed_frac: Fraction = Field(
        default=0.1,
        description="The cohort stops loudly when more than this share of the items of a stage failed (fraction).",
    )
    min_items: Count = Field(default=20, description="Fewest items in the cohort for that (count).")


class TrainSettings(Group):
    """Training a model."""

    cohort_sheet: str = Field(
        default="",
        description="What `snakemake train` learns from beside synthesis. Tab-separated, with a header line: image, "
        "labels, person, centre, role (training, tuning, external), contrast; optionally fat. Empty: the shipped "
        "models are made again.",
    )
    label_sheet: str = Field(
        default="",
        description="What the values of the label maps mean. Tab-separated, with a header line: value, label (a muscle "
        "of resources/labels.tsv, or nothing for background). Empty: the values are the codes of that file.",
    )
    name: ModelName = Field(
        default="ours@1.0.0", description="What to call the model made from the cohort, name@version."
    )
    start_model: str = Field(
        default="muscles@0.2.0",
        pattern=f"^({_MODEL})?$",
        description="Model to fine-tune, name@version of segment.models_folder or a shipped one; empty: start from "
        "nothing.",
    )
    synthetic_frac: float = Field(
        default=0.5, ge=0, lt=1, description="Share of synthetic samples among those learnt from (fraction)."
    )
    steps: int = Field(default=0, ge=0, description="Optimiser steps (count); 0: those of the recipe.")


class Settings(Group):
    """Everything a run can be told."""

    input: str = Field(
        default="",
        description="Folder with DICOM (any nesting), a BIDS dataset, or NIfTI images. Its path never enters the "
        "results.",
    )
    out: Text = Field(default="results", description="Results folder.")
    private_dir: Text = Field(
        default="~/.paraspinal",
        description="Folder for what must stay private: the identity key and the index of input files. Outside the "
        "results; created on first use, readable by you alone. Keep the key: the same key gives the same pseudonyms.",
    )
    shard_size: Count = Field(
        default=32,
        description="Sessions (one person, one visit) per shard. One job does one stage of one shard; 1 gives one job "
        "per session.",
    )
    ingest: IngestSettings = IngestSettings()
    segment: SegmentSettings = SegmentSettings()
    levels: LevelsSettings = LevelsSettings()
    measure: MeasureSettings = MeasureSettings()
    quality: QualitySettings = QualitySettings()
    agreement: AgreementSettings = AgreementSettings()
    failure_limit: FailureLimitSettings = FailureLimitSettings()
    train: TrainSettings = TrainSettings()

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
        return merge({**self.model_dump(), "out": "."}, {"input": "(private)", **hidden})

    def private_paths(self) -> dict[str, Any]:
        """Paths that may name people, nested as in the configuration: the input and the user's sheets."""
        named = {
            group: {name: getattr(getattr(self, group), name) for name in names} for group, names in PRIVATE.items()
        }
        return {"input": self.input, **named}


def load_settings(config: dict[str, Any]) -> Settings:
    """Check a configuration and freeze it; keys it lacks have their defaults, relative folders become absolute.

    Keys of the version before are taken under their names of today, with a notice. Raises ConfigError naming the key
    that is wrong, never its value, which may name people.
    """
    try:
        told = Settings.model_validate(_with_present_names(config))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise ConfigError(f"configuration, {where}: {_FAULTS.get(first['type'], first['msg'])}", hint=_HINT) from None
    sheets = {group: {key: _absolute(path) for key, path in told.private_paths()[group].items()} for group in PRIVATE}
    folders = {"out": _absolute(told.out), "input": _absolute(told.input)}
    if not told.private_dir.startswith("~"):  # somebody's home stays ``~``, for this is written into the results
        folders["private_dir"] = _absolute(told.private_dir)
    return Settings.model_validate(merge(told.model_dump(), {**folders, **sheets}))


_FAULTS = {
    "extra_forbidden": "there is no such key",
    "model_type": "is not a group of keys and values",
    "string_unicode": "the name is not UTF-8, and tables, logs and the engine hold nothing else: name another",
}


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
    """Take the defaults, a user's file on top, and single values on top of that.

    Raises ConfigError if the file is missing or is not YAML with keys and values.
    """
    config = Settings().model_dump()
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
