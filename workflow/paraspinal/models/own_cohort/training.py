"""Train the muscles model on a user's own labelled cohort, and measure it on the people it did not learn from.

From shipped weights or from nothing, mixed with synthesis at a stated share. The card counts people, images and
centres; it holds no name, path or identifier from the sheet, and neither do the messages.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from paraspinal.core.errors import ConfigError, ModelError
from paraspinal.core.files import sha256_json
from paraspinal.core.paths import RESOURCES
from paraspinal.models.card import Accuracy, ModelCard, check_order, read_card
from paraspinal.models.engine import load_muscles
from paraspinal.models.external.external_card import kind_of
from paraspinal.models.input.muscle_input import MuscleInput
from paraspinal.models.network import NetworkSpec
from paraspinal.models.own_cohort.cases import LabelledImage, ReadyCase, make_ready, read_case
from paraspinal.models.own_cohort.evaluate import Score, score_image, summarise
from paraspinal.models.own_cohort.sheet import Case, Role, read_sheet, read_values
from paraspinal.models.own_cohort.task import CohortTask
from paraspinal.models.registry import ModelEntry, known_models, resolve
from paraspinal.models.synthesis.muscles.atlas_bank import ATLAS_FILE
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES
from paraspinal.models.synthesis.muscles.task import ONE_SLICE, MuscleTask
from paraspinal.models.training.checkpoint import load_tensors
from paraspinal.models.training.loop import Schedule, train_phases
from paraspinal.models.training.muscles_card import muscles_card
from paraspinal.models.training.recipes import RECIPES, data_folder
from paraspinal.models.weights import export_model

log = logging.getLogger(__name__)

FINE_TUNING = (Schedule(steps=1500, seed=20260103, learning_rate=5e-4, warmup_steps=100),)
"""Fine-tuning: a quarter of the usual rate, so that what synthesis taught is bent and not forgotten."""

SYNTHETIC_FRAC = 0.5


@dataclass(frozen=True)
class CohortPlan:
    """What to train on, from where to start, and what to call the result."""

    sheet: Path
    name: str
    version: str
    values: Path | None = None  # what the label maps' values mean
    centre_roles: Mapping[str, Role] = field(default_factory=dict)
    start: str | None = None  # name@version to fine-tune
    start_folder: Path = RESOURCES
    synthetic_frac: float = SYNTHETIC_FRAC
    licence: str = "not stated"
    phases: tuple[Schedule, ...] | None = None
    spec: NetworkSpec | None = None

    def schedules(self) -> tuple[Schedule, ...]:
        """Phases asked for, or those of fine-tuning or of the shipped model."""
        return self.phases or (FINE_TUNING if self.start else RECIPES["muscles"].phases)


@dataclass(frozen=True)
class _Cohort:
    cases: tuple[Case, ...]
    digest: str
    outlined: tuple[bool, ...]
    ready: tuple[ReadyCase, ...]


def train_cohort(plan: CohortPlan, out_folder: Path, threads: int = 1, **options: Any) -> ModelEntry:
    """Train, export and measure; continues where a killed run left off, with the same result.

    The model lies in ``out_folder/resources`` with a registry of its own. ``options`` go to the training loop.
    Raises ConfigError or InputError for a sheet or image that cannot be used, ModelError for a start that does not fit.
    """
    if not 0.0 <= plan.synthetic_frac < 1.0:
        raise ConfigError("the synthetic share must be at least 0 and less than 1")
    if f"{plan.name}@{plan.version}" in {entry.identifier for entry in known_models()}:
        raise ModelError(f"there is a shipped model {plan.name}@{plan.version}", hint="choose another name or version")
    values = read_values(plan.values)
    cases = read_sheet(plan.sheet, plan.centre_roles)
    cache = out_folder / "cache"
    cohort = _prepare(cases, values, cache)
    spec, initial = _start(plan)
    atlas = data_folder()
    has_atlas = atlas is not None and (atlas / ATLAS_FILE).exists()
    task = CohortTask(
        cohort.ready, cache, plan.synthetic_frac, cohort.outlined, MuscleTask(atlas if has_atlas else None)
    )
    data = sha256_json({"cohort": cohort.digest, "synthetic_frac": plan.synthetic_frac, "has_atlas": has_atlas})
    checkpoint = train_phases(
        task, plan.schedules(), out_folder, threads, initial=initial, spec=spec, data=data, **options
    )
    resources = out_folder / "resources"
    resources.mkdir(exist_ok=True)
    card = _card(plan, cohort, has_atlas)
    entry = export_model(checkpoint, card, resources)
    accuracy = _measure(entry, cohort, values, threads)
    entry = export_model(checkpoint, replace(card, accuracy=accuracy), resources)
    if options.get("stop_after") is None:
        shutil.rmtree(cache)
    return entry


def _prepare(cases: Sequence[Case], values: Mapping[int, str | None], cache: Path) -> _Cohort:
    """Read every image once: all must be usable, none in two roles; those to learn from go into the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    people = _numbers(case.person for case in cases)
    ready: list[ReadyCase] = []
    seen: dict[str, Case] = {}
    contents: list[tuple[str, str, int]] = []
    named = {name for name in values.values() if name}
    for case in cases:
        image = read_case(case, values)
        twin = seen.setdefault(image.voxels, case)
        if twin is not case:
            what = "leakage: " if twin.role is not case.role else ""
            raise ConfigError(f"{what}rows {twin.row} and {case.row} of the cohort sheet hold the same image")
        contents.append((image.content, case.role.value, people[case.person]))
        if case.role is Role.TRAINING:
            ready.append(make_ready(image, people[case.person], cache))
    outlined = tuple(name in named for name in MUSCLE_CLASSES)
    return _Cohort(tuple(cases), sha256_json([contents, outlined]), outlined, tuple(ready))


def _numbers(names: Any) -> dict[str, int]:
    """Number names in the order they are met; the numbers say nothing."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _start(plan: CohortPlan) -> tuple[NetworkSpec | None, dict[str, Tensor] | None]:
    if plan.start is None:
        return plan.spec, None
    entry = resolve(plan.start, plan.start_folder)
    card = read_card(entry.card)
    if kind_of(card) != "paraspinal":
        raise ModelError(f"{plan.start} was made by another framework", hint="fine-tune it there and add it again")
    check_order(card, MUSCLE_CLASSES, ())
    if MuscleInput.from_card(card.input) != ONE_SLICE:
        raise ModelError(f"{plan.start} takes more than one slice", hint="fine-tune a model that takes one at a time")
    return NetworkSpec.from_json(card.network), load_tensors(entry.weights)[0]


def _measure(
    entry: ModelEntry, cohort: _Cohort, values: Mapping[int, str | None], threads: int
) -> tuple[Accuracy, ...]:
    held = [case for case in cohort.cases if case.role is not Role.TRAINING]
    if not held:
        return ()
    segmenter = load_muscles(entry.identifier, threads=threads, resources=entry.card.parents[3])
    people, centres = (_numbers(getattr(case, key) for case in cohort.cases) for key in ("person", "centre"))
    scores: list[Score] = []
    for case in held:
        image: LabelledImage = read_case(case, values)
        where = (people[case.person], centres[case.centre], case.contrast)
        scores.append(score_image(segmenter, image, cohort.outlined, case.role, *where))
        log.info("measured %d of %d images", len(scores), len(held))
    return summarise(scores)


def _card(plan: CohortPlan, cohort: _Cohort, has_atlas: bool) -> ModelCard:
    usual = muscles_card(with_atlas=has_atlas)
    counts = {
        role.value: {
            "people": len({case.person for case in own}),
            "images": len(own),
            "centres": len({case.centre for case in own}),
            "contrasts": dict(sorted(Counter(case.contrast for case in own).items())),
            "with_fat_image": sum(case.fat is not None for case in own),
        }
        for role in Role
        if (own := [case for case in cohort.cases if case.role is role])
    }
    synthetic = usual.training["data"] if plan.synthetic_frac else []
    limits = list(usual.limits)
    if Role.EXTERNAL.value not in counts:
        limits.insert(0, "Not measured on any centre it did not learn from.")
    missing = [n for n, has in zip(MUSCLE_CLASSES, cohort.outlined, strict=True) if not has and n != MUSCLE_CLASSES[0]]
    if missing:
        limits.insert(0, f"The real images have no outlines of: {', '.join(missing)}; these come from synthesis alone.")
    start = resolve(plan.start, plan.start_folder).sha256 if plan.start else None
    return replace(
        usual,
        name=plan.name,
        version=plan.version,
        licence=plan.licence,
        summary="Paraspinal muscles in axial lumbar MR, trained on the user's own labelled images.",
        training={
            "data": ["the user's labelled cohort, counted under `cohort`", *synthetic],
            "cohort": counts,
            "cohort_sha256": cohort.digest,
            "outlined": [n for n, has in zip(MUSCLE_CLASSES, cohort.outlined, strict=True) if has],
            "synthetic_frac": plan.synthetic_frac,
            "start": plan.start,
            "start_sha256": start,
            "phases": len(plan.schedules()),
            "kept_apart": "people have one role each; external centres no other",
        },
        limits=tuple(limits),
        accuracy=(),
    )
