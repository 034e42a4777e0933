"""How the shipped models are made: task, steps and seed of each, training, then export with a card."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from paraspinal.core.errors import ModelError
from paraspinal.core.paths import PROJECT, RESOURCES
from paraspinal.models.card import Accuracy
from paraspinal.models.evaluation.muscles import DIXON_FOLDER, evaluate, evaluate_muscles, evaluate_phantoms
from paraspinal.models.evaluation.spine import (
    VERTEBRAE_FOLDER,
    accuracy,
    accuracy_cropped,
    evaluate_axial_spines,
    evaluate_cropped,
    evaluate_phantom_spines,
    evaluate_volumes,
)
from paraspinal.models.evaluation.spine_trials import evaluate_trials
from paraspinal.models.inference import LoadedModel, load_model
from paraspinal.models.input.muscle_input import MuscleInput
from paraspinal.models.registry import ModelEntry
from paraspinal.models.synthesis.muscles.atlas_bank import ATLAS_FILE
from paraspinal.models.synthesis.muscles.outlines import OUTLINE_FILE
from paraspinal.models.synthesis.muscles.task import MuscleTask
from paraspinal.models.synthesis.spine.task import SpineTask
from paraspinal.models.training.checkpoint import read_checkpoint
from paraspinal.models.training.loop import Schedule, train_phases
from paraspinal.models.training.muscles_card import TRAINED_VERSION, muscles_card
from paraspinal.models.training.spine_card import spine_card
from paraspinal.models.training.task import Task
from paraspinal.models.weights import export_model

LOG = logging.getLogger(__name__)

DATA_VARIABLE = "PARASPINAL_DATA"
"""Environment variable that says where the atlas and the real test images lie."""


SPINE_VERSION = "0.2.0"


@dataclass(frozen=True)
class Recipe:
    """What shipped weights were made with: phases in turn, each starting from the weights of the one before."""

    phases: tuple[Schedule, ...]

    def with_steps(self, steps: int) -> Recipe:
        """Share ``steps`` out among the phases as they were, at least one each."""
        whole = sum(phase.steps for phase in self.phases)
        return Recipe(tuple(replace(p, steps=max(1, round(steps * p.steps / whole))) for p in self.phases))

    def with_seed(self, seed: int) -> Recipe:
        """Draw other samples: phase n uses ``seed`` + n - 1, so that no phase sees those of another again."""
        return Recipe(tuple(replace(p, seed=seed + n) for n, p in enumerate(self.phases)))


MUSCLE_SEEDS = (20260301, 20260302, 20260303)
"""Of the trainings to choose from: two seeds differ by .004 in the mean of several images, by up to .025 on one."""

MUSCLES_SHOWN = MuscleInput(has_neighbours=True, has_convention=True)

RECIPES = {
    "muscles": Recipe((Schedule(steps=16_000, seed=MUSCLE_SEEDS[0], fresh_per_step=2),)),
    "spine": Recipe(
        (
            Schedule(steps=4000, seed=20260102),
            Schedule(steps=1100, seed=20261126, fresh_per_step=2, pool_size=192, learning_rate=1e-3, warmup_steps=30),
        )
    ),
}


def data_folder() -> Path | None:
    """Find the data folder, or None where there is none."""
    folder = Path(os.environ.get(DATA_VARIABLE, PROJECT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def build_task(name: str) -> Task:
    """Build the training task of a shipped model.

    The muscles task takes its shapes from the data folder; what is not there is said, and done without.
    """
    if name == "muscles":
        data = data_folder()
        has_atlas, has_outlines = _shapes(data)
        if not has_atlas:
            LOG.warning(
                "no %s in %s: procedural anatomy only, the result will be worse", ATLAS_FILE.name, DATA_VARIABLE
            )
        elif not has_outlines:
            LOG.warning("no %s in %s: no real outlines at L4/5", OUTLINE_FILE.name, DATA_VARIABLE)
        return MuscleTask(data if has_atlas else None, shown=MUSCLES_SHOWN, has_shares=True)
    if name == "spine":
        return SpineTask()
    raise ModelError(f"there is no training task {name!r}", hint=f"tasks: {', '.join(RECIPES)}")


def _shapes(data: Path | None) -> tuple[bool, bool]:
    """Tell whether the atlas is in the data folder, and whether the outlines are; these are used along with it only."""
    has_atlas = data is not None and (data / ATLAS_FILE).exists()
    return has_atlas, data is not None and has_atlas and (data / OUTLINE_FILE).exists()


def train_task(
    name: str, out_folder: Path, *, steps: int | None = None, seed: int | None = None, threads: int = 1, **options: Any
) -> Path:
    """Train a model by its recipe, or continue where a killed run left off; returns the exported weights.

    The model lies in ``out_folder/resources`` with a registry of its own. Steps or seed other than the
    recipe's make another model; they are kept in its card. ``options`` go to the training loop.
    """
    task, recipe = build_task(name), RECIPES[name]
    recipe = recipe.with_steps(steps) if steps else recipe
    recipe = recipe if seed is None else recipe.with_seed(seed)
    # A run that lost its shapes on the way would be another one.
    shapes = "atlas {}, outlines {}".format(*_shapes(data_folder())) if name == "muscles" else None
    checkpoint = train_phases(task, recipe.phases, out_folder, threads, data=shapes, **options)
    resources = out_folder / "resources"
    resources.mkdir(exist_ok=True)
    if name == "muscles":
        return ship_muscles(checkpoint, resources, data_folder()).weights
    return ship_spine(checkpoint, resources, data_folder()).weights


def ship_muscles(checkpoint: Path, resources: Path, data: Path | None, code: str | None = None) -> ModelEntry:
    """Export a trained muscles model, measure it and write the numbers into its card.

    With ``data`` (trained with the atlas there) the labelled person is measured too. ``code`` names the revision
    of this project the training ran with.
    """
    has_atlas, has_outlines = _shapes(data)
    code = code or read_checkpoint(checkpoint).description["code"]
    card = muscles_card(has_atlas, code=code, with_outlines=has_outlines, shown=MUSCLES_SHOWN, version=TRAINED_VERSION)
    entry = export_model(checkpoint, card, resources)
    model = load_model(entry.identifier, resources=resources)
    has_person = data is not None and (data / DIXON_FOLDER).is_dir()
    accuracy = (evaluate_muscles(model, data) if data and has_person else ()) + evaluate_phantoms(model)
    return export_model(checkpoint, replace(card, accuracy=accuracy), resources)


def ship_spine(checkpoint: Path, resources: Path, data: Path | None, history: str | None = None) -> ModelEntry:
    """Export a trained spine model, measure it and write the numbers into its card.

    With ``data`` the labelled sagittal volumes there are measured too; none was trained on. ``history`` is what the
    weights went through, where that is not the recipe.
    """
    entry = export_model(checkpoint, spine_card(SPINE_VERSION, ()), resources)
    model = load_model(entry.identifier, resources=resources)
    return export_model(checkpoint, spine_card(SPINE_VERSION, measure_spine(model, data), history), resources)


def measure_spine(model: LoadedModel, data: Path | None) -> tuple[Accuracy, ...]:
    """Measure a spine model on everything there is: real volumes where ``data`` has them, synthetic ones."""
    real: tuple[Accuracy, ...] = ()
    if data is not None and (data / VERTEBRAE_FOLDER).is_dir():
        whole, cropped = list(evaluate_volumes(model, data)), list(evaluate_cropped(model, data))
        real = accuracy(whole) + accuracy_cropped(cropped)
    return real + evaluate_phantom_spines(model) + evaluate_axial_spines(model) + evaluate_trials(model)


def evaluate_shipped(data: Path, resources: Path = RESOURCES) -> dict[str, Any]:
    """Measure both shipped models on the labelled images in ``data``; plain JSON types.

    Raises InputError if the labelled person is not there.
    """
    spine = load_model(f"spine@{SPINE_VERSION}", resources=resources)
    muscles = evaluate(data, resources=resources)
    return {"muscles": muscles, "spine": [asdict(row) for row in measure_spine(spine, data)]}
