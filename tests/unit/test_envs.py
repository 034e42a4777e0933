"""Every environment definition says the same as the lock file, and the lock file is complete, lean and free of GPL."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.paths import PROJECT

ENVS = PROJECT / "envs"
PACKAGE = PROJECT / "workflow" / "paraspinal"
CONDA_TO_PYPI = {"pytorch": "torch"}
"""Names that differ between conda and PyPI."""
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9][0-9a-z.]*(\+cpu)?)")
BUILD = "setuptools"
"""The build back end; installs the package itself without asking the network."""


def canonical(name: str) -> str:
    """Write a distribution's name as the lock file does."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def locked() -> dict[str, str]:
    """Read the lock file; a line that is not a plain pin fails."""
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    found = [PIN.fullmatch(line) for line in lines if not line.startswith("#")]
    assert all(found), "the lock file holds pins and nothing else"
    return {m["name"]: m["version"] for m in found if m}


def project() -> dict[str, Any]:
    """The project table of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return found


def needed(*extras: str) -> set[str]:
    """Every distribution the project needs, directly or through others, by what the installed ones say."""
    optional = project()["optional-dependencies"]
    named = [project()["dependencies"], *(optional[extra] for extra in extras)]
    todo = [Requirement(text) for texts in named for text in texts]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while todo:
        requirement = todo.pop()
        item = (canonical(requirement.name), tuple(sorted(requirement.extras)))
        if item in seen:
            continue
        seen.add(item)
        for text in metadata.requires(requirement.name) or []:
            child = Requirement(text)
            if any(child.marker is None or child.marker.evaluate({"extra": extra}) for extra in ("", *item[1])):
                todo.append(child)
    return {name for name, _ in seen}


def test_lock_file_holds_exactly_what_the_project_needs() -> None:
    assert list(locked()) == sorted(locked())
    assert set(locked()) == needed("seg", "slurm", "dev") | {BUILD}


def test_tests_run_in_the_locked_environment() -> None:
    installed = {name: metadata.version(name).split("+")[0] for name in locked()}
    assert installed == {name: version.split("+")[0] for name, version in locked().items()}


def test_lock_file_takes_the_cpu_build_and_no_cuda_library() -> None:
    assert locked()["torch"].endswith("+cpu")
    assert not [name for name in locked() if name.startswith(("nvidia", "cuda", "triton"))]


def test_nothing_at_run_time_is_under_the_gpl() -> None:
    """A permissive licence beside the GPL (docutils: an editor's helper files) is enough."""
    refused = []
    for name in needed("seg", "slurm"):
        about = metadata.metadata(name)
        licences = [c.split("::")[-1] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
        licences = licences or [*(about.get_all("License-Expression") or []), *(about.get_all("License") or [])]
        if licences and all(re.search(r"\bA?GPL|GNU (Affero )?General", text) for text in licences):
            refused.append(name)
    assert refused == []


def test_every_import_is_declared() -> None:
    declared = {canonical(re.split(r"[<>=!~\[ ]", r)[0]) for r in project()["dependencies"]}
    declared |= {canonical(r) for r in project()["optional-dependencies"]["seg"]}
    assert {d for module in PACKAGE.rglob("*.py") for d in _distributions(_imports(module))} <= declared


def _conda(path: Path) -> dict[str, str]:
    """Pins of a conda file under PyPI names; a line that is not one exact version fails."""
    document = yaml.safe_load(path.read_text())
    assert set(document) == {"channels", "dependencies"}
    assert set(document["channels"]) <= {"conda-forge", "bioconda"}
    pins = {}
    for line in document["dependencies"]:
        found = re.fullmatch(r"(?:(?P<channel>[a-z-]+)::)?(?P<name>[a-z0-9-]+)=(?P<version>[0-9][0-9.]*)", line)
        assert found, f"{path.name}: {line} is not one exact version"
        assert found["channel"] in (None, *document["channels"])
        pins[CONDA_TO_PYPI.get(found["name"], found["name"])] = found["version"]
    return pins


CONDA_FILES = sorted(ENVS.glob("*.yaml"))


def test_there_is_one_conda_file_per_kind_of_work() -> None:
    assert [p.stem for p in CONDA_FILES] == ["convert", "imaging", "segment", "tables"]
    named = {Path(text).stem for rule in _rules().values() for text in [rule]}
    assert named == {p.stem for p in CONDA_FILES}


@pytest.mark.parametrize("path", CONDA_FILES, ids=lambda p: p.stem)
def test_conda_pins_equal_the_lock_file(path: Path) -> None:
    pins = _conda(path)
    assert pins.pop("python") == project()["requires-python"].removeprefix(">=").split(",")[0]
    assert pins == {name: locked()[name].removesuffix("+cpu") for name in pins}


def test_dcm2niix_is_one_version_everywhere() -> None:
    assert _conda(ENVS / "convert.yaml")["dcm2niix"] == locked()["dcm2niix"]
    assert "bioconda::dcm2niix=" in (ENVS / "convert.yaml").read_text()


def _rules() -> dict[str, str]:
    """Stage to conda file, as the rules say."""
    texts = [p.read_text() for p in sorted((PROJECT / "workflow" / "rules").glob("*.smk"))]
    return {
        stage: env
        for text in texts
        for env in re.findall(r'conda:\s+"\.\./\.\./(envs/[^"]+)"', text)
        for stage in re.findall(r"paraspinal stage (\w+)", text)
    }


def test_every_stage_finds_its_imports_in_its_environment() -> None:
    rules = _rules()
    assert set(rules) == {"ingest", *SHARD_STAGES, "aggregate", "report"}
    for stage, env in rules.items():
        home = PACKAGE / "cohort" / "tables" / "aggregate.py" if stage == "aggregate" else PACKAGE / "stages" / stage
        starts = [home] if home.suffix else sorted(home.rglob("*.py")) or [home.with_suffix(".py")]
        if stage == "aggregate":  # it asks every stage whether its tables are what this run would make
            starts += [PACKAGE / "stages" / name / "stage.py" for name in SHARD_STAGES]
        missing = _distributions(_reached(starts)) - set(_conda(PROJECT / env))
        if stage == "aggregate":  # what only the work itself needs, and is taken to be what it was where it is absent
            missing -= {"dcm2niix", "torch", "monai", "safetensors"}
        assert missing == set(), f"{stage} in {env}"


def _imports(path: Path, is_top_only: bool = False) -> set[str]:
    """Modules a file imports; ``is_top_only`` leaves out imports inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if is_top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _reached(starts: list[Path]) -> set[str]:
    """Modules imported by these files, by the command line, and by everything of ours that those import."""
    seen: set[Path] = set()
    modules: set[str] = set()
    todo = [(p, False) for p in starts] + [
        (PACKAGE / p, True) for p in ("__main__.py", "cli/main.py", "cohort/running/jobs.py")
    ]
    while todo:
        path, is_top_only = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _imports(path, is_top_only):
            modules.add(name)
            if name.split(".")[0] == "paraspinal":
                place = PACKAGE.parent.joinpath(*name.split("."))
                ours = [place.with_suffix(".py"), place / "__init__.py"]
                todo += [(p, is_top_only or p.parent.name == "cli") for p in ours if p.is_file()]
    return modules


@cache
def _providers() -> dict[str, list[str]]:
    """Import name to distributions; reading all of their metadata takes a second."""
    return dict(metadata.packages_distributions())


def _distributions(modules: set[str]) -> set[str]:
    """Third-party distributions that provide these modules."""
    providers = _providers()
    tops = {m.split(".")[0] for m in modules} - set(sys.stdlib_module_names) - {"paraspinal"}
    unknown = {t for t in tops if t not in providers}
    assert not unknown, f"not installed: {unknown}"
    return {canonical(providers[top][0]) for top in tops}


@pytest.mark.parametrize("name", ["Dockerfile", "apptainer.def"])
def test_containers_install_only_what_is_locked(name: str) -> None:
    text = (ENVS / name).read_text()
    assert re.search(r"^(FROM|From:) python:3\.11-slim$", text, flags=re.M)
    installs = [line.strip(" \\&") for line in text.splitlines() if "pip install" in line]
    assert len(installs) == 3
    torch, rest, package = installs
    assert "torch" in torch
    assert rest == "pip install --no-deps -r /tmp/rest.lock"
    assert package.removeprefix("RUN ") == "pip install --no-deps --no-build-isolation --editable ."
    assert text.count("requirements.lock") >= 2


def test_docker_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\w+)$", (ENVS / "Dockerfile").read_text(), flags=re.M)
    assert users == ["paraspinal"]
