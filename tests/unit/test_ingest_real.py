"""Real DICOM folders and images: every file accounted for, every folder disposed of as a person judged it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from dicom_factory import run, settings_for
from stage_runs import rows_after, run_stage
from test_harmonize_stage import scans_of

from paraspinal.core.paths import PROJECT
from paraspinal.core.records.registry import Registry
from paraspinal.core.vocab import Status
from paraspinal.stages import convert, harmonize

DATA = Path(os.environ.get("PARASPINAL_DATA", PROJECT / ".." / "shared" / "data"))
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not (DATA / "dicom").is_dir(), reason="the private real images are not here (PARASPINAL_DATA)"),
]

EXPECTED: dict[str, dict[tuple[str, str | None], tuple[int, int]]] = {
    # folder: {(status, reason): (stacks, files)}
    "datalad_structural__T1w_derived_partial": {("ok", None): (1, 30)},
    "dcm_qa_agfa__Agfa_rewritten_img_ext": {("excluded", "WRONG_BODY_PART"): (1, 4)},
    "dcm_qa_deident__GE_sag_irspgr_partial": {("warn", "SLICE_MISSING"): (1, 40)},
    "dcm_qa_enh__Siemens_XA10_enh": {("excluded", "WRONG_BODY_PART"): (1, 4)},
    "dcm_qa_table__GE_3plane_localizer": {("excluded", "LOCALIZER"): (3, 21)},
    "dcm_qa_table__Philips_dual_echo": {("excluded", "WRONG_BODY_PART"): (4, 120)},
    "dcm_qa_toshiba__Galan_dti_firstvol": {("excluded", "WRONG_BODY_PART"): (1, 40)},
    "dcm_qa_uih__UIH_t1_gre_3d_sag_partial": {("excluded", "WRONG_BODY_PART"): (1, 16)},
    "dcm_qa_xa60__dicomdir_tree": {
        ("excluded", "WRONG_BODY_PART"): (10, 46),
        ("excluded", "NOT_AN_IMAGE"): (3, 15),
        ("failed", "DICOM_TRUNCATED"): (1, 1),
    },
    "dicom2nifti__failing_gantrytilting_001": {("excluded", "NOT_MR"): (1, 4)},
    "dicom2nifti__failing_notavolume_001": {("excluded", "NOT_MR"): (1, 4)},
    "dicom2nifti__failing_sliceincrement_001": {("excluded", "NOT_MR"): (1, 4)},
    "dicom2nifti__failing_sliceorientation_001": {("ok", None): (2, 4)},
    "dicom2nifti__ge_anatomical_001": {("ok", None): (1, 4)},
    "dicom2nifti__ge_anatomical_001_single_slice": {("excluded", "TOO_FEW_SLICES"): (1, 1)},
    "dicom2nifti__generic_anatomical_001_implicit": {("ok", None): (1, 4)},
    "dicom2nifti__generic_anatomical_002_non_isotropic": {("excluded", "DERIVED_REFORMAT"): (1, 4)},
    "dicom2nifti__generic_compressed_jpeg_001": {("ok", None): (1, 4)},
    "dicom2nifti__generic_compressed_rle_001": {("ok", None): (1, 4)},
    "dicom2nifti__hitachi_anatomical_001": {("ok", None): (1, 4)},
    "dicom2nifti__philips_anatomical_001": {("ok", None): (1, 4)},
    # Its frames carry the code of the head (FrameAnatomySequence), though no body part is stated at the top.
    "dicom2nifti__philips_enhanced_anatomical_001": {("excluded", "WRONG_BODY_PART"): (1, 1)},
    "dicom2nifti__siemens_anatomical_001": {("ok", None): (1, 4)},
    "dicom2nifti__siemens_fmri_001": {("excluded", "FOURD_UNEXPECTED"): (2, 2)},
    "pydicom__MR_small_variants": {("failed", "DUP_CONFLICT"): (1, 9)},
    "pydicom__dicomdir_mixed_modality_tree": {
        ("excluded", "LOCALIZER"): (10, 10),
        ("excluded", "DERIVED_REFORMAT"): (7, 7),
        ("excluded", "NOT_MR"): (7, 64),
        ("excluded", "NOT_AN_IMAGE"): (4, 10),
    },
    "pydicom_data__Siemens_abdomen_MPR_derived": {("excluded", "DERIVED_REFORMAT"): (1, 1)},
    "totalsegmentator__CT_wrong_modality": {("excluded", "NOT_MR"): (1, 8)},
}


@pytest.mark.parametrize("folder", EXPECTED)
def test_disposition_of_each_folder(folder: str, tmp_path: Path) -> None:
    _, rows = run(tmp_path, input=str(DATA / "dicom" / folder))
    stacks: Counter[tuple[str, str | None]] = Counter()
    files: Counter[tuple[str, str | None]] = Counter()
    for row in rows:
        stacks[row["status"], row["reason_code"]] += 1
        files[row["status"], row["reason_code"]] += row["n_files"]
    assert {key: (stacks[key], files[key]) for key in stacks} == EXPECTED[folder]


def test_all_folders_at_once_go_through(tmp_path: Path) -> None:
    assert {path.name for path in (DATA / "dicom").iterdir()} == set(EXPECTED)
    summary, rows = run(tmp_path, input=str(DATA / "dicom"))
    assert summary.n_files == sum(1 for path in (DATA / "dicom").rglob("*") if path.is_file())
    settings = settings_for(tmp_path)
    results = settings.out_path
    n_usable = n_scanned = n_stacks = 0
    for shard in Registry.read(results).shard_numbers:
        run_stage(convert.STAGE, settings, shard)
        run_stage(harmonize.STAGE, settings, shard)
        stacks = rows_after("convert", settings, shard)
        n_stacks += len(stacks)
        n_usable += sum(Status(row["status"]).is_usable for row in stacks)
        n_scanned += sum(len(row["stack_ids"]) for row in rows_after("harmonize", settings, shard))
        assert not [row for row in stacks if row["reason_code"] == "UNEXPECTED_ERROR"]
    assert n_stacks == sum(1 for row in rows if row["session"])
    assert n_usable == n_scanned == sum(Status(row["status"]).is_usable for row in rows)


def test_real_in_and_opposed_phase_images_are_named(tmp_path: Path) -> None:
    _, rows = run(tmp_path, input=str(DATA / "nifti" / "abdomen_unlabelled"))
    found = Counter((row["sequence"], row["dixon_part"], row["is_fat_suppressed"]) for row in rows)
    assert found == {("dixon", "inphase", False): 2, ("dixon", "oppphase", False): 3, ("T2w", None, True): 3}
    assert {row["sequence_evidence"] for row in rows} == {"Dixon part by file name", "text only"}
    assert {row["status"] for row in rows} == {"ok"}


def test_real_dixon_as_nifti_shows_its_lost_origin(tmp_path: Path) -> None:
    shutil.copytree(DATA / "nifti" / "dixon_lumbar", tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["sequence"], scan["role"], scan["size"][2]) == ("dixon", "muscles", 29)
    assert (scan["status"], scan["fi_reason_code"]) == ("warn", "DIXON_GRID_MISMATCH")
