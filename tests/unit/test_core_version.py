"""The commit a run carries: read without git, equal to what git says, and no part of any digest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from dicom_factory import settings_for

from paraspinal import __version__
from paraspinal.cli.main import main
from paraspinal.cohort.running import runs
from paraspinal.cohort.running.plan import COHORT_STAGES, SHARD_STAGES, job_environment, stage
from paraspinal.core import version
from paraspinal.core.records.digest import symbols_behind

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process knows of its own code it asks for once; here, once per test."""
    monkeypatch.delenv(version.CODE_STATE_VARIABLE, raising=False)
    known = (version.version, version.commit, version.is_dirty)
    for function in known:
        function.cache_clear()
    yield
    for function in known:
        function.cache_clear()


def git(folder: Path, *command: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *who, *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "workflow").mkdir(parents=True)
    (root / "workflow" / "a.py").write_text("a = 1\n")
    (root / "README.md").write_text("text\n")
    git(root, "init", "--quiet", "--initial-branch", "some/branch")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def test_a_branch_a_packed_branch_a_detached_head_and_a_worktree(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = checkout.parent / "other"
    git(checkout, "worktree", "add", "--quiet", "-b", "second", str(other))
    git(other, "commit", "--quiet", "--allow-empty", "--message", "second")
    first, second = git(checkout, "rev-parse", "HEAD"), git(other, "rev-parse", "HEAD")
    assert first != second

    def read(folder: Path) -> str | None:
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a program was started"))
            return version.commit_of(folder)

    assert (read(checkout), read(other)) == (first, second)
    git(checkout, "pack-refs", "--all")
    assert (read(checkout), read(other)) == (first, second)
    git(checkout, "checkout", "--quiet", "--detach", second)
    assert read(checkout) == second


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (SHA, SHA),
        ("ref: refs/heads/unborn", None),
        ("ref: refs/heads/broken", None),
        ("nonsense", None),
        ("", None),
        ("\udcff", None),
    ],
)
def test_a_damaged_checkout_has_no_commit(tmp_path: Path, head: str, expected: str | None) -> None:
    folder = tmp_path / ".git" / "refs" / "heads"
    folder.mkdir(parents=True)
    (folder / "broken").write_text("nonsense")
    (tmp_path / ".git" / "HEAD").write_text(head, errors="surrogateescape")
    assert version.commit_of(tmp_path) == expected


def test_without_git_the_commit_is_that_of_the_archive_or_none(tmp_path: Path) -> None:
    note = tmp_path / version.ARCHIVE_NOTE
    assert version.commit_of(tmp_path) is None
    note.write_text("node: $Format:%H$\n")
    assert version.commit_of(tmp_path) is None
    note.write_text(f"node: {SHA}\n")
    assert version.commit_of(tmp_path) == SHA
    (tmp_path / ".git").write_text("gitdir: /nowhere/.git/worktrees/x\n")  # a worktree that was copied elsewhere
    assert version.commit_of(tmp_path) == SHA
    assert version.is_dirty_checkout(tmp_path) is None


def test_dirty_is_what_differs_in_code_and_nothing_else(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert version.is_dirty_checkout(checkout) is False
    (checkout / "README.md").write_text("another text\n")
    (checkout / "workflow" / "notes.txt").write_text("not tracked\n")
    assert version.is_dirty_checkout(checkout) is False
    (checkout / "workflow" / "a.py").write_text("a = 2\n")
    assert version.is_dirty_checkout(checkout) is True
    git(checkout, "add", ".")
    assert version.is_dirty_checkout(checkout) is True
    git(checkout, "commit", "--quiet", "--message", "second")
    assert version.is_dirty_checkout(checkout) is False
    monkeypatch.setenv("PATH", "")
    assert version.is_dirty_checkout(checkout) is None


@pytest.mark.parametrize(
    ("commit", "is_dirty", "expected"),
    [
        (None, None, __version__),
        (SHA, None, f"{__version__}+g0123456789ab"),
        (SHA, False, f"{__version__}+g0123456789ab"),
        (SHA, True, f"{__version__}+g0123456789ab.dirty"),
    ],
)
def test_what_a_run_is_told(
    commit: str | None,
    is_dirty: bool | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(version, "commit_of", lambda _: commit)
    monkeypatch.setattr(version, "is_dirty_checkout", lambda _: is_dirty)
    held: list[IO[str]] = []
    monkeypatch.setattr(runs, "_held", held)
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert not end.value.code
    assert capsys.readouterr().out == f"paraspinal {expected}\n"
    settings = settings_for(tmp_path)
    runs.begin_run(settings)
    assert (settings.out_path / runs.RUN_CONFIG).read_text().startswith(f"# paraspinal {expected}\n")
    assert runs.settings_of(settings.out_path) == settings
    held[0].close()


@pytest.mark.parametrize("is_dirty", [True, False])
def test_git_is_asked_once_for_all_jobs_of_a_run(is_dirty: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(version, "commit_of", lambda _: SHA)
    monkeypatch.setattr(version, "is_dirty_checkout", lambda path: (asked.append(path), is_dirty)[1])
    inherited = job_environment()
    assert len(asked) == 1

    for name, value in inherited.items():
        monkeypatch.setenv(name, value)
    version.is_dirty.cache_clear()
    assert version.is_dirty() is is_dirty
    assert len(asked) == 1

    monkeypatch.setattr(version, "commit_of", lambda _: SHA[::-1])  # another checkout was put in between
    version.commit.cache_clear()
    version.is_dirty.cache_clear()
    assert version.is_dirty() is is_dirty
    assert len(asked) == 2


def test_a_version_computes_nothing_again() -> None:
    starts = [*COHORT_STAGES.values(), *((stage(name).module, "STAGE", "process") for name in SHARD_STAGES)]
    for start in starts:
        modules = {module for module, _ in symbols_behind(*start)}
        assert not {"paraspinal", "paraspinal.core.version"} & modules
