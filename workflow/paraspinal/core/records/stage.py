"""What a stage is: a pure function on the rows of one visit or scan, and everything its results depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import groupby
from typing import Any

from paraspinal.core.files import sha256_json
from paraspinal.core.records.columns import STATE_NAMES
from paraspinal.core.records.digest import code_digest
from paraspinal.core.records.receipts import Activity
from paraspinal.core.records.registry import Session
from paraspinal.core.records.tables import Row, Table
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings

Unit = tuple[str, list[Row]]
"""Name of a unit of work and the rows it is made from."""


def by_role(recipe: Activity, rows: list[Row], _: Settings) -> Activity:
    """Keep of a recipe the models for the roles of these scans."""
    roles = {row.get("role") for row in rows}
    return replace(recipe, models={role: sha256 for role, sha256 in recipe.models.items() if role in roles})


@dataclass(frozen=True)
class Stage:
    """One stage of the workflow.

    ``process`` maps the rows of one unit of work to rows. It is given the key of the rows it reads (``key``), their
    status, and the columns it ``uses``, whichever earlier stage made them; of what it returns the columns of ``makes``
    are kept: keys, what this stage adds or decides anew, and the status. A unit is a session, or a single row where
    ``is_per_row``; several may be worked on side by side, in threads, where ``is_concurrent``. ``parameters`` picks
    exactly the settings it depends on, ``models`` names the weights it may use (by the role of scans they are for),
    ``tools`` the versions of outside programs and libraries that can change results. ``narrow`` takes from all that
    what the given unit does not depend on: as it stands, the models of other roles. ``device`` is where its networks
    run.
    """

    name: str
    module: str
    key: tuple[str, ...]
    uses: tuple[str, ...]
    makes: Table
    process: Callable[[list[Row], Work], list[Row]]
    parameters: Callable[[Settings], dict[str, Any]] = lambda settings: {}
    models: Callable[[Settings], dict[str, str]] = lambda settings: {}
    tools: Callable[[], dict[str, str]] = dict
    device: Callable[[Settings], str] = lambda settings: "cpu"
    is_per_row: bool = False
    is_concurrent: bool = False
    narrow: Callable[[Activity, list[Row], Settings], Activity] = by_role

    @property
    def reads(self) -> tuple[str, ...]:
        """Every column it is given."""
        return (*self.key, *(name for name in (*self.uses, *STATE_NAMES) if name not in self.key))

    @property
    def code(self) -> str:
        """Digest of the code behind the stage and of the columns it makes (names and types, not their wording)."""
        columns = [(field.name, str(field.type)) for field in self.makes.schema]
        return sha256_json([code_digest(self.module, "STAGE", "process"), columns])[:16]

    def recipe(self, settings: Settings) -> Activity:
        """Describe what this stage does under these settings, before any rows; once a shard, for it hashes weights."""
        return Activity(
            stage=self.name,
            code_digest=self.code,
            parameters=self.parameters(settings),
            tools=self.tools(),
            models=self.models(settings),
            inputs_sha256="",
        )

    def applied(self, recipe: Activity, rows: list[Row], settings: Settings) -> Activity:
        """Describe a recipe applied to a unit: what it does not depend on is left out, and its rows are hashed.

        How earlier stages got the rows does not matter, only what they say.
        """
        inputs = [{name: row[name] for name in self.reads} for row in rows]
        return replace(self.narrow(recipe, rows, settings), inputs_sha256=sha256_json(inputs))

    def units(self, rows: Iterable[Row]) -> list[Unit]:
        """Name the units of work among the rows it reads, in sorted order, with the rows of each."""

        def name(row: Row) -> str:
            return row[self.key[-1]] if self.is_per_row else session_unit((row["subject"], row["session"]))

        return [(unit, list(group)) for unit, group in groupby(sorted(rows, key=name), key=name)]


def session_unit(session: Session) -> str:
    """Name a session as a unit of work; names of scans begin so too."""
    subject, name = session
    return f"sub-{subject}_ses-{name}"


def session_of(unit: str) -> str:
    """Name the session a unit belongs to."""
    return "_".join(unit.split("_")[:2])


def versions(*packages: str) -> dict[str, str]:
    """Versions of libraries as installed here; empty for one that is not, as where no job of the stage ever runs."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = ""
    return found
