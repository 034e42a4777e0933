"""The model registry: names, hashes, missing files; no torch needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paraspinal.core.errors import ModelError
from paraspinal.core.files import sha256_file
from paraspinal.models.registry import COLUMNS, ModelEntry, find, known_models, list_models, register, resolve
from paraspinal.models.training.muscles_card import NAME, VERSION


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    """Make a resources folder with one registered model."""
    folder = tmp_path / "models" / "toy" / "1.0.0"
    folder.mkdir(parents=True)
    weights, card = folder / "weights.safetensors", folder / "card.json"
    weights.write_bytes(b"weights")
    card.write_text("{}")
    register(ModelEntry("toy", "1.0.0", "muscles", weights, sha256_file(weights), "MIT", card), tmp_path)
    return tmp_path


def test_sha256_of_known_content(resources: Path) -> None:
    (resources / "abc").write_bytes(b"abc")
    assert sha256_file(resources / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_registered_model_resolves_to_its_files(resources: Path) -> None:
    entry = resolve("toy@1.0.0", resources)
    assert entry.weights.read_bytes() == b"weights"
    assert (entry.task, entry.licence, entry.identifier) == ("muscles", "MIT", "toy@1.0.0")


@pytest.mark.parametrize("identifier", ["toy", "toy@latest", "toy@1.0", "other@1.0.0", ""])
def test_anything_but_name_at_version_is_unknown(resources: Path, identifier: str) -> None:
    with pytest.raises(ModelError, match="there is no model"):
        find(identifier, resources)


def test_shipped_models_stay_at_hand_beside_a_folder_of_ones_own(resources: Path) -> None:
    shipped = list_models()[0]
    assert resolve(shipped.identifier, resources) == shipped
    assert [e.identifier for e in known_models(resources)] == ["toy@1.0.0", *(e.identifier for e in list_models())]
    own = find("toy@1.0.0", resources)
    register(ModelEntry(shipped.name, shipped.version, "muscles", own.weights, own.sha256, "MIT", own.card), resources)
    assert resolve(shipped.identifier, resources).weights == own.weights
    assert len(known_models(resources)) == 1 + len(list_models())


def test_altered_weights_are_refused(resources: Path) -> None:
    find("toy@1.0.0", resources).weights.write_bytes(b"weightz")
    with pytest.raises(ModelError, match="MODEL_HASH_MISMATCH"):
        resolve("toy@1.0.0", resources)


@pytest.mark.parametrize("name", ["weights", "card"])
def test_a_missing_file_is_named(resources: Path, name: str) -> None:
    path: Path = getattr(find("toy@1.0.0", resources), name)
    path.unlink()
    with pytest.raises(ModelError, match=path.name):
        resolve("toy@1.0.0", resources)


def test_registering_again_replaces_the_row(resources: Path) -> None:
    old = find("toy@1.0.0", resources)
    register(ModelEntry("toy", "1.0.0", "muscles", old.weights, "0" * 64, "MIT", old.card), resources)
    assert [e.sha256 for e in list_models(resources)] == ["0" * 64]


def test_a_table_with_other_columns_is_refused(resources: Path) -> None:
    (resources / "models.tsv").write_text("\t".join([*COLUMNS[:-1], "url"]) + "\n")
    with pytest.raises(ModelError, match="columns"):
        list_models(resources)


def test_registry_and_card_do_not_import_torch() -> None:
    code = "import sys, paraspinal.models.registry, paraspinal.models.card; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_shipped_model_is_what_the_registry_says() -> None:
    models = list_models()
    assert f"{NAME}@{VERSION}" in {entry.identifier for entry in models}
    for entry in models:
        assert resolve(entry.identifier).sha256 == entry.sha256
