"""`paraspinal models`: what is registered, what a card says, and adding a model of one's own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from paraspinal.core.errors import ModelError
from paraspinal.core.settings import load_settings, read_config
from paraspinal.models.card import read_card
from paraspinal.models.external.external_card import kind_of
from paraspinal.models.external.label_names import LabelMatch, propose, read_map
from paraspinal.models.registry import find, known_models, resolve

if TYPE_CHECKING:
    from paraspinal.models.external.adopt import Source

console = Console()


def add_parser(subs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command and its own sub-commands."""
    models = subs.add_parser("models", help="list, show and add models")
    actions = models.add_subparsers(required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="every registered model")
    _folder_options(listing)
    listing.set_defaults(command=list_registered)

    show = actions.add_parser("show", help="the card of a model, after checking its weights")
    show.add_argument("model", help="name@version")
    _folder_options(show)
    show.set_defaults(command=show_card)

    add = actions.add_parser("add", help="register a MONAI bundle or an nnU-Net v2 result folder")
    add.add_argument("source", type=Path, help="folder of the bundle, or the one with plans.json and fold_*")
    add.add_argument("--name", required=True, help="name@version it shall have, e.g. ours@1.0.0")
    add.add_argument("--licence", default="not stated", help="licence of the weights")
    add.add_argument("--map", type=Path, metavar="FILE", help="TSV that maps its labels: model_label, label")
    add.add_argument("--yes", action="store_true", help="do not ask; only where every label has our very name")
    add.add_argument(
        "--orientation", metavar="XYZ", help="nnU-Net: how training images were stored, e.g. LAS (default: as each is)"
    )
    add.add_argument("--no-mirroring", action="store_true", help="nnU-Net: one pass instead of one per mirror image")
    _folder_options(add)
    add.set_defaults(command=add_own)


def _folder_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--folder", type=Path, help="folder with models.tsv (default: segment.models_folder)")
    command.add_argument("--config", type=Path, help="configuration file on top of config/config.yaml")


def _folder(arguments: argparse.Namespace) -> Path:
    found: Path = arguments.folder or load_settings(read_config(arguments.config, {})).models_path
    return found.expanduser()


def list_registered(arguments: argparse.Namespace) -> None:
    """List the models of a folder and those shipped."""
    table = _table("model", "task", "engine", "classes", "licence", "sha256")
    for entry in known_models(_folder(arguments)):
        card = read_card(entry.card)
        classes = str(len(card.class_names) - 1)
        table.add_row(entry.identifier, entry.task, kind_of(card), classes, entry.licence, entry.sha256[:12])
    console.print(table)


def show_card(arguments: argparse.Namespace) -> None:
    """Print the card of a model whose weights are the registered ones."""
    entry = find(arguments.model, _folder(arguments))
    resolve(arguments.model, _folder(arguments))
    print(entry.card.read_text(encoding="utf-8"), end="")


def add_own(arguments: argparse.Namespace) -> None:
    """Register a model of another framework once its labels are confirmed."""
    from paraspinal.models.external.adopt import add_model, read_source

    name, _, version = arguments.name.partition("@")
    source = read_source(arguments.source.expanduser(), arguments.orientation, not arguments.no_mirroring)
    matches = read_map(arguments.map, source.labels) if arguments.map else propose(source.labels)
    _show_source(source, matches)
    _confirm(matches, arguments)
    entry = add_model(source, matches, name, version, arguments.licence, _folder(arguments))
    console.print(f"registered {entry.identifier}, sha256 {entry.sha256}", soft_wrap=True, highlight=False)
    console.print("to use it, write into your configuration:\n  segment:", highlight=False)
    console.print(f"    models_folder: {_folder(arguments).absolute()}", soft_wrap=True, highlight=False)
    console.print(f"    muscles_model: {entry.identifier}", highlight=False)


def _show_source(source: Source, matches: Sequence[LabelMatch]) -> None:
    table = _table("its label", "becomes", "how")
    for match in matches[1:]:
        table.add_row(match.model_label, match.registry_label or "background", match.certainty.value)
    console.print(f"{source.framework}, {len(source.labels) - 1} labels")
    console.print(table)
    for notice in source.notices:
        console.print(notice, soft_wrap=True, highlight=False)
    lost = [match.model_label for match in matches[1:] if match.registry_label is None]
    if lost:
        console.print(f"becomes background: {', '.join(lost)}", soft_wrap=True, highlight=False)


def _confirm(matches: Sequence[LabelMatch], arguments: argparse.Namespace) -> None:
    if arguments.map:
        return
    if arguments.yes:
        unsure = [match.model_label for match in matches if match.certainty.value != "exact"]
        if unsure:
            raise ModelError(
                f"--yes needs every label to have the name of the registry; these do not: {', '.join(unsure)}",
                hint="confirm by hand, or map them with --map FILE",
            )
    elif not sys.stdin.isatty() or input("Are these the right muscles and sides? [y/N] ").strip().lower() != "y":
        raise ModelError("the mapping was not confirmed", hint="map the labels with --map FILE")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
