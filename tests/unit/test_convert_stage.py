"""Converting stacks: the image lies where the headers say, or the row says why there is none."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_factory import AXIAL, CORONAL, SAGITTAL, enhanced, pixels, run, save, series, settings_for
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from stage_runs import rows_after, run_stage

from paraspinal.core.errors import DataError, MachineError, ResultsError
from paraspinal.core.identity import BidsName
from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.records.shards import Tally
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason
from paraspinal.stages.convert import STAGE
from paraspinal.stages.convert import stage as convert_stage
from paraspinal.stages.convert.dcm2niix_tool import run_dcm2niix
from paraspinal.stages.convert.stage import bids_name, grid_of, onto

OBLIQUE = (1.0, 0.0, 0.0, 0.0, float(np.cos(0.4)), float(np.sin(0.4)))


def convert(base: Path) -> tuple[Tally, list[Row]]:
    """Ingest and convert ``base``/in."""
    run(base)
    settings = settings_for(base)
    tally = run_stage(STAGE, settings)
    return tally, rows_after("convert", settings)


def image_of(base: Path, row: Row) -> sitk.Image:
    """The image a row names."""
    return sitk.ReadImage(str(base / "results" / row["image_path"]))


@pytest.mark.parametrize(
    "orientation", [AXIAL, SAGITTAL, CORONAL, OBLIQUE], ids=["axial", "sagittal", "coronal", "oblique"]
)
def test_every_voxel_is_where_its_slice_says(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    items = series(5, 4.0, orientation)
    save(reversed(items), tmp_path / "in")
    tally, (row,) = convert(tmp_path)
    assert tally.items == {"ok": 1}
    image = image_of(tmp_path, row)
    assert same_grid(Grid.of(image), grid_of(row), 1e-3)
    array = sitk.GetArrayFromImage(image)
    for ds in items:
        corner = image.TransformPhysicalPointToIndex(ds.ImagePositionPatient)
        assert corner[:2] == (0, 0)
        np.testing.assert_array_equal(array[corner[2]], np.frombuffer(ds.PixelData, np.uint16).reshape(12, 16))


def test_rescale_slope_is_applied(tmp_path: Path) -> None:
    items = series(4, RescaleSlope=2.5, RescaleIntercept=-7.0)
    save(items, tmp_path / "in")
    _, (row,) = convert(tmp_path)
    first = np.frombuffer(items[0].PixelData, np.uint16).reshape(12, 16)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image_of(tmp_path, row))[0], first * 2.5 - 7.0, rtol=1e-6)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_encodings_give_the_same_voxels(tmp_path: Path, syntax: str) -> None:
    items = series(4)
    expected = np.stack([ds.pixel_array for ds in items])
    if syntax == RLELossless:
        for ds in items:
            ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    save(items, tmp_path / "in", syntax)
    _, (row,) = convert(tmp_path)
    assert (row["status"], row["reason_code"]) == ("ok", None)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image_of(tmp_path, row)), expected)


@pytest.mark.parametrize(("compressor", "syntax"), [("JPEG2000", JPEG2000Lossless), ("JPEG", JPEGLosslessSV1)])
def test_lossless_compressions_give_the_same_voxels(tmp_path: Path, compressor: str, syntax: str) -> None:
    items = series(4, BitsStored=16, HighBit=15)
    expected = np.stack([ds.pixel_array for ds in items])
    for ds in items:
        ds.BitsStored, ds.HighBit = 16, 15
        store(ds, *compressed(ds.pixel_array, compressor, tmp_path / "packed.dcm"))
        assert ds.file_meta.TransferSyntaxUID == syntax
    save(items, tmp_path / "in")
    _, (row,) = convert(tmp_path)
    assert (row["status"], row["reason_code"]) == ("ok", None)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image_of(tmp_path, row)), expected)


def compressed(image: np.ndarray, compressor: str, path: Path) -> tuple[list[bytes], str]:
    """Compress a slice with the image library's encoder; returns its frames and the transfer syntax."""
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.SetFileName(str(path))
    writer.Execute(sitk.GetImageFromArray(image[np.newaxis]))
    ds = pydicom.dcmread(path)
    return list(generate_frames(ds.PixelData, number_of_frames=1)), ds.file_meta.TransferSyntaxUID


def store(ds: pydicom.Dataset, frames: list[bytes], syntax: str) -> None:
    """Put compressed frames into a dataset."""
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = syntax


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", JPEGLSLossless),
        ("MR_small_jp2klossless.dcm", JPEG2000Lossless),
        ("MR_small_RLE.dcm", RLELossless),
    ],
)
def test_compressions_of_other_encoders_are_read(tmp_path: Path, name: str, syntax: str) -> None:
    """Signed 16-bit images that come with pydicom, whose uncompressed twin is the truth."""
    expected = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False)).pixel_array
    packed = pydicom.dcmread(get_testdata_file(name, download=False))
    assert packed.file_meta.TransferSyntaxUID == syntax
    items = series(4)
    for ds in items:
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
            setattr(ds, keyword, packed[keyword].value)
        store(ds, list(generate_frames(packed.PixelData, number_of_frames=1)), syntax)
    save(items, tmp_path / "in")
    _, (row,) = convert(tmp_path)
    assert (row["status"], row["reason_code"]) == ("ok", None)
    for plane in sitk.GetArrayFromImage(image_of(tmp_path, row)):
        np.testing.assert_array_equal(plane, expected)


def test_lossy_jpeg_is_read(tmp_path: Path) -> None:
    row_ramp = np.add.outer(np.arange(16), np.arange(16)).astype(np.uint8) * 7
    items = series(4, pixel_array=np.zeros((16, 16), np.uint16))
    for number, ds in enumerate(items):
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        stream = io.BytesIO()
        Image.fromarray(row_ramp + number).save(stream, "JPEG", quality=100)
        store(ds, [stream.getvalue()], JPEGBaseline8Bit)
    save(items, tmp_path / "in")
    _, (row,) = convert(tmp_path)
    assert (row["status"], row["reason_code"]) == ("ok", None)
    for number, plane in enumerate(sitk.GetArrayFromImage(image_of(tmp_path, row))):
        np.testing.assert_allclose(plane, row_ramp + float(number), atol=3)


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2.4.51",  # JPEG of 12 bits
        "1.2.840.10008.1.2.4.201",  # high-throughput JPEG 2000
        "1.2.840.10008.1.2.4.102",  # MPEG-4
        "1.2.840.10008.1.2.4.110",  # JPEG XL
        "1.2.3.4",
    ],
)
@pytest.mark.parametrize("is_enhanced", [False, True])
def test_unknown_compression_is_refused(tmp_path: Path, syntax: str, is_enhanced: bool) -> None:
    places = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(4)]
    volume = np.stack([pixels(k) for k in range(4)])
    kind = {"image_type": ["ORIGINAL", "PRIMARY", "T1", "NONE"]}
    items = [enhanced([(volume, places, kind)])] if is_enhanced else series(4)
    for ds in items:
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    save(items, tmp_path / "in", RLELossless)
    for path in (tmp_path / "in").iterdir():  # pydicom writes no syntax that it does not know
        raw = path.read_bytes()
        old = str(RLELossless).encode()
        padded = syntax.encode() + b"\0" * (len(syntax) % 2)
        place = raw.index(old) - 2
        length = int.from_bytes(raw[place : place + 2], "little")
        changed = raw[:place] + len(padded).to_bytes(2, "little") + padded + raw[place + 2 + length :]
        group = changed.index(b"\x02\x00\x00\x00UL\x04\x00") + 8
        size = int.from_bytes(changed[group : group + 4], "little") + len(padded) - length
        path.write_bytes(changed[:group] + size.to_bytes(4, "little") + changed[group + 4 :])
    _, (row,) = convert(tmp_path)
    assert (row["status"], row["reason_code"]) == ("failed", "DICOM_UNSUPPORTED_TS")
    assert row["image_path"] is None


def test_constant_image_is_refused(tmp_path: Path) -> None:
    save(series(4, pixel_array=np.full((12, 16), 7, np.uint16)), tmp_path / "in")
    _, (row,) = convert(tmp_path)
    assert (row["status"], row["reason_code"]) == ("failed", "CONSTANT_IMAGE")


def test_refused_stacks_pass_through_and_leave_no_image(tmp_path: Path) -> None:
    save([ds for ds in series(8) if ds.InstanceNumber != 4], tmp_path / "in")
    tally, (row,) = convert(tmp_path)
    assert tally.items == {"failed": 1}
    assert (row["reason_code"], row["image_path"]) == ("SLICE_MISSING", None)
    assert not list((tmp_path / "results").rglob("*.nii*"))


def test_enhanced_dixon_becomes_one_image_per_part(tmp_path: Path) -> None:
    places = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(5)]
    parts = {"WATER": "water", "FAT": "fat", "IN_PHASE": "inphase"}
    volumes = {word: np.stack([pixels((word, k)) for k in range(5)]) for word in parts}
    order = [4, 2, 0, 1, 3]  # frames need not be stored in order
    items = [
        (volumes[word][order], [places[k] for k in order], {"image_type": ["DERIVED", "PRIMARY", "DIXON", word]})
        for word in parts
    ]
    save([enhanced(items)], tmp_path / "in")
    tally, rows = convert(tmp_path)
    assert tally.items == {"ok": 3}
    for word, part in parts.items():
        (row,) = [row for row in rows if row["dixon_part"] == part]
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image_of(tmp_path, row)), volumes[word])
        assert row["spacing_mm"] == pytest.approx([0.7, 0.8, 4.0])


def test_enhanced_single_stack_goes_through_dcm2niix(tmp_path: Path) -> None:
    places = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(5)]
    volume = np.stack([pixels(("v", k)) for k in range(5)])
    save([enhanced([(volume, places, {"image_type": ["ORIGINAL", "PRIMARY", "T1", "NONE"]})])], tmp_path / "in")
    _, (row,) = convert(tmp_path)
    assert (row["status"], row["detail"]) == ("ok", None)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image_of(tmp_path, row)), volume)


def test_sidecar_holds_listed_fields_only(tmp_path: Path) -> None:
    said = {"ImageComments": "secret", "StationName": "secret", "InversionTime": None, "PixelBandwidth": 210.0}
    save(series(4, NumberOfAverages=2.0, SAR=0.4, EchoTrainLength=9, **said), tmp_path / "in")
    _, (row,) = convert(tmp_path)
    path = tmp_path / "results" / row["image_path"].replace(".nii.gz", ".json")
    assert "secret" not in path.read_text()
    sidecar = json.loads(path.read_text())
    assert set(sidecar) <= {
        *convert_stage.SIDECAR_NUMBERS, *convert_stage.SIDECAR_COLUMNS, "Manufacturer", "ManufacturersModelName"
    }  # fmt: skip
    assert sidecar["EchoTime"] == pytest.approx(0.1)
    assert sidecar["RepetitionTime"] == pytest.approx(4.0)
    assert (sidecar["PixelBandwidth"], sidecar["SAR"], sidecar["EchoTrainLength"]) == (210, 0.4, 9)
    assert sidecar["Manufacturer"] == "Siemens"


def test_the_header_of_an_image_carries_no_text(tmp_path: Path) -> None:
    save(series(4, ImageComments="secret", StudyDescription="secret", PatientComments="secret"), tmp_path / "in")
    _, (row,) = convert(tmp_path)
    path = tmp_path / "results" / row["image_path"]
    image = nibabel.load(path)
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        assert bytes(image.header[field]).strip(b"\0") == b"", field
    assert len(image.header.extensions) == 0
    assert b"secret" not in gzip.decompress(path.read_bytes())


def test_second_run_reuses_and_touching_changes_nothing(tmp_path: Path) -> None:
    paths = save(series(4), tmp_path / "in")
    first, _ = convert(tmp_path)
    paths[0].touch()
    again, _ = convert(tmp_path)
    assert (first.computed, first.reused) == (1, 0)
    assert (again.computed, again.reused) == (0, 1)


def test_changed_pixels_are_converted_again(tmp_path: Path) -> None:
    save(series(4), tmp_path / "in")
    convert(tmp_path)
    changed = series(4, seed="changed")
    save(changed, tmp_path / "in")
    tally, (row,) = convert(tmp_path)
    assert tally.computed == 1
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image_of(tmp_path, row))[0], changed[0].pixel_array)


def test_missing_private_index_asks_for_ingest(tmp_path: Path) -> None:
    save(series(4), tmp_path / "in")
    run(tmp_path)
    settings = settings_for(tmp_path)
    for path in (tmp_path / "private").rglob("shard-*.parquet"):
        path.unlink()
    with pytest.raises(ResultsError, match="ingest"):
        run_stage(STAGE, settings)


@pytest.mark.parametrize("kind", ["classic", "frames"])
def test_a_vanished_file_stops_the_job_instead_of_becoming_a_row(tmp_path: Path, kind: str) -> None:
    places = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(4)]
    volumes = [
        (np.stack([pixels((word, k)) for k in range(4)]), places, {"image_type": ["DERIVED", "PRIMARY", "DIXON", word]})
        for word in ("WATER", "FAT")
    ]
    paths = save(series(4) if kind == "classic" else [enhanced(volumes)], tmp_path / "in")
    run(tmp_path)
    settings = settings_for(tmp_path)
    paths[-1].unlink()
    with pytest.raises(MachineError, match="run ingest again") as caught:
        run_stage(STAGE, settings)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "code", "reason"),
    [
        ([], 0, Reason.CONVERT_RC),
        ([], 1, Reason.CONVERT_RC),
        (["image.nii", "image_Eq_1.nii"], 0, Reason.CONVERT_MULTI_OUTPUT),
        (["image_a.nii", "image_b.nii"], 0, Reason.CONVERT_MULTI_OUTPUT),
        (["image.nii"], 1, Reason.CONVERT_RC),
        (["image.nii"], 0, Reason.CONVERT_RC),
    ],
)
def test_whatever_the_tool_leaves_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], code: int, reason: Reason
) -> None:
    from paraspinal.stages.convert import dcm2niix_tool

    def fake(command: list[str], **_: Any) -> Any:
        for name in files:
            (Path(command[command.index("-o") + 1]) / name).write_bytes(b"no image")
        return type("Done", (), {"returncode": code})()

    monkeypatch.setattr(dcm2niix_tool.subprocess, "run", fake)
    with pytest.raises(DataError) as caught:
        dcm2niix_tool.run_dcm2niix([], tmp_path)
    assert caught.value.reason is reason


def test_gaps_make_an_interpolated_copy_which_is_refused(tmp_path: Path) -> None:
    """What dcm2niix does with a gap, by itself: two images, and the exit code of success."""
    paths = save([ds for ds in series(9) if ds.InstanceNumber not in (4, 5)], tmp_path / "gapped")
    with pytest.raises(DataError) as caught:
        run_dcm2niix([str(path) for path in paths], fresh(tmp_path))
    assert (caught.value.reason, caught.value.detail) == (
        Reason.CONVERT_MULTI_OUTPUT, "dcm2niix wrote an interpolated copy"
    )  # fmt: skip


def test_two_series_make_two_images_which_are_refused(tmp_path: Path) -> None:
    paths = save([*series(4), *series(4, 4.0, SAGITTAL, SeriesNumber=9)], tmp_path / "two")
    with pytest.raises(DataError) as caught:
        run_dcm2niix([str(path) for path in paths], fresh(tmp_path))
    assert (caught.value.reason, caught.value.detail) == (Reason.CONVERT_MULTI_OUTPUT, "dcm2niix wrote several images")


def test_several_volumes_in_one_place_are_refused(tmp_path: Path) -> None:
    twice = [*series(4), *series(4, first=5, seed="again")]
    paths = save(twice, tmp_path / "repeated")
    with pytest.raises(DataError) as caught:
        run_dcm2niix([str(path) for path in paths], fresh(tmp_path))
    assert caught.value.reason is Reason.FOURD_UNEXPECTED


def fresh(base: Path) -> Path:
    """A folder of its own for the converter."""
    (base / "fresh").mkdir()
    return base / "fresh"


def shift(items: list[FileDataset]) -> None:
    """Move the whole stack."""
    for ds in items:
        ds.ImagePositionPatient = [x + 3.0 for x in ds.ImagePositionPatient]


def stretch(items: list[FileDataset]) -> None:
    """Double the slice distance."""
    for number, ds in enumerate(items):
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], 10.0 + 8.0 * number]


def mirror(items: list[FileDataset]) -> None:
    """Store the rows from right to left."""
    for ds in items:
        ds.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


def turn(items: list[FileDataset]) -> None:
    """Take rows for columns."""
    for ds in items:
        ds.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]


def tilt(items: list[FileDataset]) -> None:
    """Lean the slices by ten degrees."""
    for ds in items:
        ds.ImageOrientationPatient = [1, 0, 0, 0, round(float(np.cos(0.17)), 9), round(float(np.sin(0.17)), 9)]


def enlarge(items: list[FileDataset]) -> None:
    """State larger pixels."""
    for ds in items:
        ds.PixelSpacing = [1.6, 1.4]


def swap(items: list[FileDataset]) -> None:
    """Exchange the places of two slices: the same grid, other voxels."""
    places = items[0].ImagePositionPatient, items[1].ImagePositionPatient
    items[1].ImagePositionPatient, items[0].ImagePositionPatient = places


def gap(items: list[FileDataset]) -> None:
    """Move the last two slices away."""
    for ds in items[-2:]:
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], ds.ImagePositionPatient[2] + 8.0]


def pile(items: list[FileDataset]) -> None:
    """Put the second half of the slices where the first is."""
    for ds, below in zip(items[3:], items[:3], strict=True):
        ds.ImagePositionPatient = below.ImagePositionPatient


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shift, Reason.AFFINE_MISMATCH),
        (stretch, Reason.AFFINE_MISMATCH),
        (mirror, Reason.AFFINE_MISMATCH),
        (turn, Reason.AFFINE_MISMATCH),
        (tilt, Reason.AFFINE_MISMATCH),
        (enlarge, Reason.AFFINE_MISMATCH),
        (swap, Reason.AFFINE_MISMATCH),
        (gap, Reason.CONVERT_MULTI_OUTPUT),
        (pile, Reason.FOURD_UNEXPECTED),
    ],
)
def test_an_image_that_is_not_what_ingest_saw_is_refused(
    tmp_path: Path, change: Callable[[list[FileDataset]], None], reason: Reason
) -> None:
    """The files change behind the back of ingest, so that dcm2niix truly writes each of these."""
    items = series(6)
    save(items, tmp_path / "in")
    run(tmp_path)
    change(items)
    save(items, tmp_path / "in")
    settings = settings_for(tmp_path)
    run_stage(STAGE, settings)
    (row,) = rows_after("convert", settings)
    assert (row["status"], row["reason_code"], row["image_path"]) == ("failed", reason.value, None)
    assert not list((tmp_path / "results").rglob("*.nii*"))


def test_onto_undoes_swaps_and_flips_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    grid = Grid((5, 4, 3), (0.7, 0.8, 4.0), (1.0, 2.0, 3.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    array = rng.random((3, 4, 5), dtype=np.float32)
    image = grid.image(array)
    np.testing.assert_array_equal(onto(sitk.Flip(image, (False, True, False)), grid), array)
    np.testing.assert_array_equal(onto(sitk.PermuteAxes(image, (2, 0, 1)), grid), array)
    shifted = sitk.Image(image)
    shifted.SetOrigin((1.0, 2.0, 7.0))
    with pytest.raises(DataError) as caught:
        onto(shifted, grid)
    assert caught.value.reason is Reason.AFFINE_MISMATCH
    stretched = sitk.Image(image)
    stretched.SetSpacing((0.7, 0.8, 8.0))
    with pytest.raises(DataError):
        onto(stretched, grid)


@pytest.mark.parametrize(
    ("columns", "stem"),
    [
        ({"sequence": "T1w", "plane": "axial"}, "sub-a_ses-b_acq-axs1_T1w"),
        ({"sequence": "T2w", "plane": "sagittal", "is_fat_suppressed": True}, "sub-a_ses-b_acq-sags1_desc-fatsat_T2w"),
        ({"sequence": "STIR", "plane": "coronal", "is_fat_suppressed": True}, "sub-a_ses-b_acq-cors1_desc-stir_T2w"),
        ({"sequence": "dixon", "plane": "oblique", "dixon_part": "fat"}, "sub-a_ses-b_acq-obls1_desc-fat_dixon"),
        ({"sequence": "unknown", "plane": "unknown"}, "sub-a_ses-b_acq-unks1_MR"),
    ],
)
def test_names(columns: Row, stem: str) -> None:
    row = {"subject": "a", "session": "b", "stack_id": "s1", "dixon_part": None, "is_fat_suppressed": False, **columns}
    assert bids_name(row).stem == stem
    assert BidsName.parse(stem) == bids_name(row)


def test_nifti_source_keeps_its_place(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((9, 12, 20), dtype=np.float32)
    direction = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # stored with the slice axis first
    image = Grid((20, 12, 9), (4.0, 1.0, 1.0), (-20.0, 5.0, 7.0), direction).image(array)
    image.SetMetaData("descrip", "Doe Jane")
    (tmp_path / "in").mkdir()
    sitk.WriteImage(image, str(tmp_path / "in" / "sub-01_T2w.nii.gz"))
    _, (row,) = convert(tmp_path)
    assert (row["status"], row["sequence"], row["size"]) == ("ok", "T2w", [12, 9, 20])
    made = image_of(tmp_path, row)
    assert made.GetMetaData("descrip") == ""
    for index in ((0, 0, 0), (3, 7, 5), (11, 8, 19)):
        point = made.TransformIndexToPhysicalPoint(index)
        assert made.GetPixel(*index) == pytest.approx(image.GetPixel(*image.TransformPhysicalPointToIndex(point)))


def test_damaged_nifti_is_a_row(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((9, 12, 20), dtype=np.float32)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "sub-01_T2w.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    path.write_bytes(path.read_bytes()[:-2000])
    _, (row,) = convert(tmp_path)
    assert row["status"] == "failed"
    assert row["reason_code"] in ("DICOM_UNREADABLE", "DICOM_TRUNCATED")


def test_stage_declares_its_tools() -> None:
    assert set(STAGE.tools()) == {"dcm2niix", "SimpleITK", "pydicom"}
    assert convert_stage.AGREEMENT_FRAC < 1
