from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from paraspinal.cli.options import assigned
from paraspinal.core import config_files
from paraspinal.core import settings as module
from paraspinal.core.errors import ConfigError
from paraspinal.core.paths import DEFAULT_CONFIG, SNAKEFILE
from paraspinal.core.settings import Settings, load_settings, read_config

CONFIG: dict[str, Any] = yaml.safe_load(DEFAULT_CONFIG.read_text())


def keys(value: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, inner in value.items():
        found.add(prefix + key)
        if isinstance(inner, dict):
            found |= keys(inner, prefix + key + ".")
    return found


def test_the_files_are_those_made_from_the_settings() -> None:
    assert DEFAULT_CONFIG.read_text() == config_files.config_text(), "make config"
    assert config_files.SCHEMA.read_text() == config_files.schema_text(), "make config"
    assert Settings.model_validate(CONFIG) == Settings()


def test_every_key_says_what_it_means_and_in_which_unit() -> None:
    known = config_files.descriptions()
    assert set(known) == {key for key in keys(CONFIG) if key not in Settings().model_dump() or key in known}
    assert all(text.endswith(".") for text in known.values())
    units = {
        "_deg": "degrees",
        "_mm": "mm",
        "_frac": "fraction",
        "_gib": "GiB",
        "_pct": "%",
        "_pp": "percentage points",
    }
    for key, text in known.items():
        assert all(word in text for ending, word in units.items() if key.endswith(ending)), key


def test_the_schema_is_closed() -> None:
    schema = yaml.safe_load(config_files.schema_text())
    groups = [schema, *schema["$defs"].values()]
    assert [group["additionalProperties"] for group in groups] == [False] * len(groups)


def test_every_key_is_used_by_the_package() -> None:
    """A key nobody reads is a promise nobody keeps."""
    package = Path(module.__file__).parents[1]
    text = "\n".join(p.read_text() for p in package.rglob("*.py") if p.name != "settings.py")
    text += (Path(module.__file__).parents[2] / "rules" / "segment.smk").read_text()
    for key in keys(CONFIG):
        leaf = key.split(".")[-1]
        if leaf in ("out", "private_dir", "models_folder"):
            leaf = {"out": "out_path", "private_dir": "private_path", "models_folder": "models_path"}[leaf]
        assert f".{leaf}" in text, key


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shard_sise": 3}, "shard_sise"),
        ({"segment": {"devise": "cpu"}}, "devise"),
        ({"shard_size": 0}, "shard_size"),
        ({"shard_size": "many"}, "shard_size"),
        ({"segment": {"device": "tpu"}}, "device"),
        ({"segment": {"muscles_model": "muscles@latest"}}, "muscles_model"),
        ({"failure_limit": None}, "failure_limit"),
        ({"quality": {"min_peers": True}}, "quality.min_peers"),
        ({"levels": {"max_disc_angle_deg": 60}}, "levels.max_disc_angle_deg"),
        ({"input": ["/data/Jane_Doe"]}, "input"),
        ({"train": {"start_model": "/data/Jane_Doe"}}, "train.start_model"),
        ({"segment": {"threads": "Jane_Doe"}}, "segment.threads"),
    ],
)
def test_wrong_configurations_name_the_key_and_not_the_value(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=f"configuration, [a-z_.]*{word}: ") as caught:
        load_settings(read_config(None, change))
    assert "Jane" not in str(caught.value)


def test_a_user_file_overrides_single_keys(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("segment: {threads: 4}\n")
    found = load_settings(read_config(path, {"shard_size": 7}))
    assert found.segment.threads == 4
    assert found.shard_size == 7
    assert found.segment.device == "cpu"


def test_old_keys_are_taken_with_a_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("breaker: {max_failed_frac: 0.3}\nmeasure: {min_ring_ff_frac: 0.7, n4: true}\n")
    over = assigned(["breaker.min_items=7"])
    with caplog.at_level(logging.WARNING):
        found = load_settings(read_config(path, over))
    assert (found.failure_limit.max_failed_frac, found.failure_limit.min_items) == (0.3, 7)
    assert (found.measure.min_subcutaneous_ff, found.measure.n4, found.measure.min_coverage_frac) == (0.7, True, 0.95)
    assert caplog.messages == [
        "configuration: breaker is now called failure_limit; the old name goes with the next version",
        "configuration: measure.min_ring_ff_frac is now called measure.min_subcutaneous_ff; the old name goes with the"
        " next version",
    ]
    caplog.clear()
    load_settings(CONFIG)
    assert not caplog.messages


@pytest.mark.parametrize(("value", "code"), [("0.3", 0), ("7", 1)])
def test_old_keys_of_the_engines_command_line(tmp_path: Path, value: str, code: int) -> None:
    """The engine hands numbers within a group on as text."""
    config = [f"input={tmp_path}", f"out={tmp_path / 'out'}", f"private_dir={tmp_path / 'private'}"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--dry-run", "ingest", "--config"]
    done = subprocess.run(
        [*command, *config, f"breaker={{max_failed_frac: {value}}}"],
        env=os.environ | {"HOME": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert done.stderr.count("breaker is now called failure_limit") == 1
    assert ("failure_limit.max_failed_frac" in done.stdout + done.stderr) == (code == 1)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "just words"])
def test_files_without_keys_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_config(path, {})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_config(tmp_path / "none.yaml", {})


def test_public_settings_name_neither_input_nor_sheets() -> None:
    sheets = {"people_sheet": "/data/Jane_Doe.tsv", "override_sheet": "/data/Jane_Doe/fix.tsv"}
    sheets["participants_sheet"] = "/data/Jane_Doe/facts.tsv"
    found: Settings = load_settings(read_config(None, {"input": "/data/Jane_Doe", "ingest": sheets}))
    assert "Jane" not in repr(found.public())
    assert set(found.public()["ingest"]) == set(CONFIG["ingest"])
    assert repr(found.private_paths()).count("Jane") == 4


def test_relative_paths_are_relative_to_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = load_settings(read_config(None, {"input": "in", "ingest": {"people_sheet": "who.tsv"}}))
    assert (found.input, found.ingest.people_sheet) == (str(tmp_path / "in"), str(tmp_path / "who.tsv"))
    assert found.ingest.override_sheet == ""
