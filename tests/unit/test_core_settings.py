from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from paraspinal.cli.options import assigned
from paraspinal.core import settings as module
from paraspinal.core.errors import ConfigError
from paraspinal.core.paths import DEFAULT_CONFIG, SCHEMAS, SNAKEFILE
from paraspinal.core.settings import Settings, load_settings, read_config

CONFIG: dict[str, Any] = yaml.safe_load(DEFAULT_CONFIG.read_text())
SCHEMA: dict[str, Any] = yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text())


def keys(value: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, inner in value.items():
        found.add(prefix + key)
        if isinstance(inner, dict):
            found |= keys(inner, prefix + key + ".")
    return found


def schema_keys(schema: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, inner in schema.get("properties", {}).items():
        found |= {prefix + key} | schema_keys(inner, prefix + key + ".")
    return found


def test_config_schema_and_settings_do_not_drift_apart() -> None:
    typed = keys(dataclasses.asdict(load_settings(CONFIG)))
    assert keys(CONFIG) == schema_keys(SCHEMA) == typed


def test_schema_is_closed_and_described_everywhere() -> None:
    def check(schema: dict[str, Any]) -> None:
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert set(schema["required"]) == set(schema["properties"])
            for inner in schema["properties"].values():
                check(inner)
        else:
            assert schema["description"]

    check(SCHEMA)


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
    ],
)
def test_wrong_configurations_name_the_key(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        load_settings(read_config(None, change))


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


def test_old_keys_of_the_engines_command_line(tmp_path: Path) -> None:
    config = [f"input={tmp_path}", f"out={tmp_path / 'out'}", f"private_dir={tmp_path / 'private'}"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--dry-run", "ingest", "--config"]
    done = subprocess.run(
        [*command, *config, "breaker={max_failed_frac: 7}"],
        env=os.environ | {"HOME": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("breaker is now called failure_limit") == 1
    assert "failure_limit.max_failed_frac" in done.stdout + done.stderr


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
