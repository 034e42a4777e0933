from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraspinal.core.errors import IdentityError
from paraspinal.core.identity import BidsName, Identity

KEY = bytes(range(32))


def test_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    first = Identity.load(tmp_path / "private")
    path = tmp_path / "private" / "identity.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert Identity.load(tmp_path / "private").subject("123") == first.subject("123")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_key_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    Identity.load(tmp_path)
    (tmp_path / "identity.key").chmod(mode)
    with pytest.raises(IdentityError, match="other users"):
        Identity.load(tmp_path)


@pytest.mark.parametrize("content", ["", "zz", "00ff"])
def test_damaged_key_is_refused(tmp_path: Path, content: str) -> None:
    Identity.load(tmp_path)
    (tmp_path / "identity.key").write_text(content)
    with pytest.raises(IdentityError):
        Identity.load(tmp_path)


def test_pseudonyms_depend_on_key_kind_and_text() -> None:
    one, other = Identity(KEY), Identity(KEY[::-1])
    assert one.subject("1234567") == one.subject(" 1234567 ")
    assert one.subject("1234567") != other.subject("1234567")
    assert one.pseudonym("site", "a") != one.pseudonym("series", "a")
    assert one.session("p", "20200101") != one.session("p", "20200102")


@given(st.text())
def test_any_patient_id_gives_a_bids_label(patient_id: str) -> None:
    subject = Identity(KEY).subject(patient_id)
    assert subject.isalnum()
    assert subject.isascii()
    assert len(subject) == 12


def test_names_are_built_and_parsed() -> None:
    name = BidsName("ab", "cd", "ax12", "T2w")
    assert name.stem == "sub-ab_ses-cd_acq-ax12_T2w"
    assert name.path() == "images/sub-ab/ses-cd/anat/sub-ab_ses-cd_acq-ax12_T2w.nii.gz"
    derived = name.derive("dseg", "muscles")
    assert derived.stem == "sub-ab_ses-cd_acq-ax12_desc-muscles_dseg"
    assert BidsName.parse(derived.stem) == derived


@pytest.mark.parametrize("label", ["../evil", "a;rm", "", "ü", "a_b", "a-b", "a b"])
def test_labels_that_are_not_bids_are_refused(label: str) -> None:
    with pytest.raises(ValueError, match="BIDS"):
        BidsName(label, "s", "a", "T1w")


@pytest.mark.parametrize("stem", ["sub-a_T1w_x", "run-1_T1w", "sub-a_ses-b_acq", "T1w"])
def test_foreign_names_are_not_parsed(stem: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        BidsName.parse(stem)
