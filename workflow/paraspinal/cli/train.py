"""`paraspinal train`: the shipped models from synthesis, or a model of one's own from a labelled cohort."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paraspinal.core.errors import ConfigError
from paraspinal.core.settings import load_settings, read_config

if TYPE_CHECKING:
    from paraspinal.models.own_cohort.sheet import Role
    from paraspinal.models.own_cohort.training import CohortPlan


def add_parser(subs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    train = subs.add_parser("train", help="train a model from synthetic images, or with a labelled cohort of your own")
    train.add_argument("task", choices=("muscles", "spine"))
    where = train.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="folder for checkpoints and the trained weights")
    where.add_argument("--results", type=Path, help="results folder whose configuration says what to train")
    train.add_argument("--steps", type=int, help="optimiser steps (default: those of the recipe)")
    train.add_argument("--seed", type=int, help="seed of the samples (default: that of the recipe)")
    train.add_argument("--threads", type=int, default=1, help="CPU threads of the network (default: 1)")
    train.add_argument("--workers", type=int, default=0, help="processes that make samples (default: none beside)")
    train.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    own = train.add_argument_group("with a labelled cohort (muscles only)")
    own.add_argument("--cohort", type=Path, help="sheet: image, labels, person, centre, role, contrast; optionally fat")
    own.add_argument("--label-values", type=Path, help="sheet: value, label (default: codes of resources/labels.tsv)")
    own.add_argument(
        "--centre-role", action="append", default=[], metavar="CENTRE=ROLE", help="role of rows that name none"
    )
    own.add_argument("--from", dest="start", metavar="NAME@VERSION", help="model to fine-tune (default: from nothing)")
    own.add_argument("--synthetic-share", type=float, default=0.5, help="share of synthetic samples (default: 0.5)")
    own.add_argument("--name", help="name@version of the result")
    own.add_argument("--licence", default="not stated", help="licence of the result's weights")
    train.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    """Train, or continue where a killed run left off."""
    from paraspinal.models.training.recipes import train_task

    options = {"threads": arguments.threads, "workers": arguments.workers, "device": arguments.device}
    if arguments.results:
        _run_configured(arguments, options)
    elif arguments.cohort is None:
        train_task(arguments.task, arguments.out, steps=arguments.steps, seed=arguments.seed, **options)
    else:
        folder = load_settings(read_config(None, {})).models_path
        values, share = arguments.label_values, arguments.synthetic_share
        plan = _plan(arguments.task, arguments.cohort, values, arguments.name, arguments.start, folder, share)
        roles = dict(_centre_role(assignment) for assignment in arguments.centre_role)
        plan = replace(plan, centre_roles=roles, licence=arguments.licence)
        _train(plan, arguments.out, arguments.steps, arguments.seed, options)


def _run_configured(arguments: argparse.Namespace, options: dict[str, Any]) -> None:
    """Train what the configuration of a run says; its sheets stay in the private folder."""
    from paraspinal.cohort.running.runs import settings_of
    from paraspinal.models.training.recipes import train_task

    results = arguments.results.absolute()
    settings = settings_of(results)
    told, out = settings.train, results / "train" / arguments.task
    options = options | {"device": settings.segment.device}
    if not told.cohort_sheet:
        train_task(arguments.task, out, steps=told.steps or None, **options)
        return
    values = Path(told.label_sheet) if told.label_sheet else None
    sheet, start = Path(told.cohort_sheet), told.start_model or None
    plan = _plan(arguments.task, sheet, values, told.name, start, settings.models_path, told.synthetic_frac)
    _train(plan, out, told.steps, arguments.seed, options)


def _plan(
    task: str, sheet: Path, values: Path | None, name: str | None, start: str | None, folder: Path, share: float
) -> CohortPlan:
    from paraspinal.models.own_cohort.training import CohortPlan

    stem, _, version = (name or "").partition("@")
    if task != "muscles" or not version:
        raise ConfigError("a cohort trains a muscles model with a name", hint="train muscles ... --name ours@1.0.0")
    return CohortPlan(sheet, stem, version, values, start=start, start_folder=folder, synthetic_frac=share)


def _centre_role(assignment: str) -> tuple[str, Role]:
    from paraspinal.models.own_cohort.sheet import Role

    centre, _, role = assignment.rpartition("=")
    if not centre or role not in [r.value for r in Role]:
        raise ConfigError("a --centre-role is not CENTRE=ROLE", hint=", ".join(r.value for r in Role))
    return centre, Role(role)


def _train(plan: CohortPlan, out: Path, steps: int | None, seed: int | None, options: dict[str, Any]) -> None:
    from paraspinal.models.own_cohort.training import train_cohort
    from paraspinal.models.training.recipes import Recipe

    recipe = Recipe(plan.schedules())
    recipe = recipe.with_steps(steps) if steps else recipe
    recipe = recipe if seed is None else recipe.with_seed(seed)
    entry = train_cohort(replace(plan, phases=recipe.phases), out, **options)
    print(f"{entry.identifier} sha256 {entry.sha256}")
