"""What is checked before a commit is what `make check` checks; what other tools read about the workflow is true."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from paraspinal.core.paths import PROJECT


def document(name: str) -> Any:
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))


def hooks() -> list[dict[str, Any]]:
    repos = document(".pre-commit-config.yaml")["repos"]
    assert [repo["repo"] for repo in repos] == ["local"], "a hook from elsewhere needs the network and has its own pins"
    return list(repos[0]["hooks"])


def make(*options: str) -> str:
    done = subprocess.run(["make", *options], cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_hooks_are_what_make_check_runs() -> None:
    lines = make("--dry-run", "--always-make", "check").splitlines()
    ran = [line for line in lines if line.startswith(".venv/bin/") and "/pip " not in line and "/python " not in line]
    assert ran == [hook["entry"] for hook in hooks() if hook["language"] == "system"]
    assert {"ruff", "snakefmt", "snakemake", "mypy"} == {line.split()[0].removeprefix(".venv/bin/") for line in ran}
    (untidy,) = [hook["entry"] for hook in hooks() if hook["language"] == "pygrep"]
    assert [line for line in lines if "git grep" in line] == [
        f"git grep --no-index --exclude-standard -nIE '{untidy}'; test $? = 1"
    ]


@pytest.mark.parametrize("snakefile", ["", " --snakefile workflow/Snakefile"])
def test_both_files_a_user_may_start_are_linted(snakefile: str) -> None:
    assert f".venv/bin/snakemake --lint{snakefile}" in [hook["entry"] for hook in hooks()]


def test_ci_runs_the_checks() -> None:
    lines = (PROJECT / ".ci" / "run").read_text().splitlines()
    assert any(line.split(" || ")[0] == "make check" for line in lines)


def test_the_workflow_catalog_is_told_the_truth() -> None:
    assert (PROJECT / "workflow" / "Snakefile").is_file()
    assert (PROJECT / "config" / "README.md").is_file()
    readme = (PROJECT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    usage = document(".snakemake-workflow-catalog.yml")["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    named = re.findall(r"(\w+)=", usage["mandatory-flags"]["flags"])
    assert named == ["input", "out"]
    assert set(named) <= set(document("config/config.yaml"))
    rules = "\n".join(path.read_text() for path in sorted((PROJECT / "workflow" / "rules").glob("*.smk")))
    has = {word: bool(re.search(rf"^    {word}:", rules, flags=re.MULTILINE)) for word in ("conda", "container")}
    assert usage["software-stack-deployment"] == {
        "conda": has["conda"],
        "apptainer": has["container"],
        "apptainer+conda": has["conda"] and has["container"],
    }
    assert usage["report"] == ("report(" in rules)
