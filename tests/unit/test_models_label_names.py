"""Labels of somebody else's model: by name, and only as far as names go."""

from __future__ import annotations

from pathlib import Path

import pytest

from paraspinal.core.errors import ModelError
from paraspinal.models.external.label_names import Certainty, class_names, propose, read_map


@pytest.mark.parametrize(
    ("model_label", "registry_label", "certainty"),
    [
        ("multifidus_left", "multifidus_left", Certainty.EXACT),
        ("Multifidus Left", "multifidus_left", Certainty.EXACT),
        ("left multifidus", "multifidus_left", Certainty.GUESSED),
        ("ES_R", "erector_spinae_right", Certainty.GUESSED),
        ("LMF", "multifidus_left", Certainty.GUESSED),
        ("QL-r", "quadratus_lumborum_right", Certainty.GUESSED),
        ("Psoas (right)", "psoas_major_right", Certainty.GUESSED),
        ("multifidus", None, Certainty.UNMAPPED),
        ("left and right psoas", None, Certainty.UNMAPPED),
        ("left psoas or quadratus", None, Certainty.UNMAPPED),
        ("spleen", None, Certainty.UNMAPPED),
        ("vertebra_L1", None, Certainty.UNMAPPED),
    ],
)
def test_proposals(model_label: str, registry_label: str | None, certainty: Certainty) -> None:
    match = propose(["background", model_label])[1]
    assert (match.registry_label, match.certainty) == (registry_label, certainty)


def test_the_first_label_is_background_whatever_it_is_called() -> None:
    assert propose(["multifidus_left", "ES_R"])[0].registry_label is None


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "map.tsv").write_text(text)
    return tmp_path / "map.tsv"


MODEL_LABELS = ("background", "a", "b", "c")


def test_a_map_decides(tmp_path: Path) -> None:
    path = written(tmp_path, "model_label\tlabel\nb\t\na\tmultifidus_left\nc\tmultifidus_left\n")
    matches = read_map(path, MODEL_LABELS)
    assert class_names(matches) == ("background", "multifidus_left", "other_b", "multifidus_left")
    assert {match.certainty for match in matches[1:]} == {Certainty.GIVEN}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("theirs\tours\n", "columns"),
        ("model_label\tlabel\na\tmultifidus_left\nb\t\n", "every label"),
        ("model_label\tlabel\na\t\na\t\nb\t\nc\t\n", "every label"),
        ("model_label\tlabel\na\tmultifidus_left\nb\t\nc\t\nd\t\n", "every label"),
        ("model_label\tlabel\na\tmultifidus\nb\t\nc\t\n", "not in the registry: multifidus"),
    ],
)
def test_an_incomplete_or_wrong_map_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_map(written(tmp_path, text), MODEL_LABELS)


def test_a_missing_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_map(tmp_path / "map.tsv", MODEL_LABELS)


def test_a_model_without_any_of_our_muscles_is_refused() -> None:
    with pytest.raises(ModelError, match="no label"):
        class_names(propose(["background", "spleen"]))
