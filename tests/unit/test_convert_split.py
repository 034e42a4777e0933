"""Stacks out of multi-frame files: every frame becomes a classic image and comes out with the values it had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_factory import enhanced, pixels, run, save, series, settings_for
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from stage_runs import rows_after, run_stage

from paraspinal.core.errors import DataError
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason
from paraspinal.stages.convert import STAGE
from paraspinal.stages.convert.split import write_slices
from paraspinal.stages.convert.values import check_values, is_unevenly_scaled, scale_of

N = 5
PLACES = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(N)]
WORDS = {"WATER": "water", "FAT": "fat", "IN_PHASE": "inphase", "OUT_PHASE": "oppphase"}


def convert(base: Path) -> list[Row]:
    """Ingest and convert ``base``/in."""
    run(base)
    settings = settings_for(base)
    run_stage(STAGE, settings)
    return rows_after("convert", settings)


def voxels(base: Path, row: Row) -> np.ndarray:
    """The voxels of a converted image, (slice, row, column)."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(base / "results" / row["image_path"])))


def part(rows: list[Row], word: str) -> Row:
    (row,) = [row for row in rows if row["dixon_part"] == WORDS[word]]
    return row


def dixon(seed: object = "", **tags: Any) -> FileDataset:
    """Four Dixon parts in one file, the frames of each in another order."""
    orders = [[4, 2, 0, 1, 3], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 3, 0, 4, 2]]
    volumes = []
    for word, order in zip(WORDS, orders, strict=True):
        image_type = {"image_type": ["DERIVED", "PRIMARY", "DIXON", word]}
        volumes.append((np.stack([pixels((seed, word, k)) for k in order]), [PLACES[k] for k in order], image_type))
    return enhanced(volumes, **tags)


def set_scales(ds: FileDataset, scale: Callable[[int], tuple[float, float]]) -> None:
    """State slope and intercept of every frame."""
    for number, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        item.RescaleSlope, item.RescaleIntercept = (round(x, 6) for x in scale(number))
        group.PixelValueTransformationSequence = Sequence([item])


def set_philips(ds: Dataset, scale_slope: float) -> None:
    """State the private scale of Philips."""
    block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0D, "FL", 0.0)
    block.add_new(0x0E, "FL", scale_slope)


def decoded(path: Path, word: str) -> np.ndarray:
    """The frames of a part by place, decoded by pydicom and rescaled: the truth, by another way than the converter."""
    ds = pydicom.dcmread(path)
    found = []
    for number, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        if group.MRImageFrameTypeSequence[0].FrameType[3] == word:
            slope, intercept = 1.0, 0.0
            if "PixelValueTransformationSequence" in group:
                stated = group.PixelValueTransformationSequence[0]
                slope, intercept = float(stated.RescaleSlope), float(stated.RescaleIntercept)
            height = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
            found.append((height, ds.pixel_array[number] * slope + intercept))
    return np.stack([plane for _, plane in sorted(found, key=lambda item: item[0])])


def as_rle(ds: FileDataset) -> FileDataset:
    ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return ds


def as_jpeg2000(ds: FileDataset, tmp_path: Path) -> FileDataset:
    """Compress frame by frame, several fragments each, as some archives do."""
    frames = []
    for number, frame in enumerate(ds.pixel_array):
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor("JPEG2000")
        writer.SetFileName(str(tmp_path / f"{number}.dcm"))
        writer.Execute(sitk.GetImageFromArray(frame[np.newaxis]))
        packed = pydicom.dcmread(tmp_path / f"{number}.dcm")
        assert packed.file_meta.TransferSyntaxUID == JPEG2000Lossless
        frames += list(pydicom.encaps.generate_frames(packed.PixelData, number_of_frames=1))
    ds.PixelData = encapsulate(frames, fragments_per_frame=3)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.BitsStored, ds.HighBit = 16, 15  # as the stream says
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    return ds


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
    ],
)
def test_parts_of_one_file_equal_their_frames_decoded_directly(tmp_path: Path, syntax: str) -> None:
    ds = dixon()
    set_scales(ds, lambda number: (0.5 + number // N, -3.0 * (number // N)))
    if syntax == RLELossless:
        ds = as_rle(ds)
    elif syntax == JPEG2000Lossless:
        ds = as_jpeg2000(ds, tmp_path)
    (path,) = save([ds], tmp_path / "in", syntax)
    rows = convert(tmp_path)
    assert {row["status"] for row in rows} == {"ok"}
    for word in WORDS:
        np.testing.assert_allclose(voxels(tmp_path, part(rows, word)), decoded(path, word), rtol=1e-6, atol=1e-3)


def test_frames_of_one_stack_may_have_scales_of_their_own(tmp_path: Path) -> None:
    ds = dixon()
    set_scales(ds, lambda number: (1 + number / 7, number - 2.5))
    (path,) = save([ds], tmp_path / "in")
    rows = convert(tmp_path)
    for word in WORDS:
        np.testing.assert_allclose(voxels(tmp_path, part(rows, word)), decoded(path, word), rtol=1e-5, atol=1e-3)


def test_signed_and_short_pixels(tmp_path: Path) -> None:
    signed = dixon("signed", SeriesNumber=1)
    raw = np.random.default_rng(1).integers(-2048, 2048, signed.pixel_array.shape).astype(np.int16)
    signed.PixelRepresentation, signed.PixelData = 1, raw.tobytes()
    short = dixon("short", SeriesNumber=2)
    bytes_ = np.random.default_rng(2).integers(0, 256, (4 * N, 11, 17)).astype(np.uint8)  # an odd number of bytes
    short.Rows, short.Columns, short.BitsAllocated, short.BitsStored, short.HighBit = 11, 17, 8, 8, 7
    short.PixelData = bytes_.tobytes()
    short["PixelData"].VR = "OB"
    paths = save([signed, short], tmp_path / "in")
    rows = convert(tmp_path)
    for number, path in enumerate(paths, start=1):
        of_series = [row for row in rows if row["series_number"] == number]
        for word in WORDS:
            np.testing.assert_array_equal(voxels(tmp_path, part(of_series, word)), decoded(path, word))


def test_a_stack_that_has_a_file_to_itself_goes_the_same_road(tmp_path: Path) -> None:
    volume = np.stack([pixels(("v", k)) for k in range(N)])
    ds = enhanced([(volume[::-1], PLACES[::-1], {"image_type": ["ORIGINAL", "PRIMARY", "T1", "NONE"]})])
    set_scales(ds, lambda number: (2.0, 1.0))
    save([ds], tmp_path / "in")
    (row,) = convert(tmp_path)
    np.testing.assert_array_equal(voxels(tmp_path, row), volume * 2.0 + 1.0)


def test_a_stack_over_several_files_keeps_its_order(tmp_path: Path) -> None:
    volumes = {word: np.stack([pixels((word, k)) for k in range(6)]) for word in ("WATER", "FAT")}
    files = []
    for first in (3, 0):
        places = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(first, first + 3)]
        kinds = [{"image_type": ["DERIVED", "PRIMARY", "DIXON", word]} for word in volumes]
        items = [(v[first : first + 3], places, kind) for v, kind in zip(volumes.values(), kinds, strict=True)]
        ds = enhanced(items)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{first + 1}"
        files.append(ds)
    save(files, tmp_path / "in")
    rows = convert(tmp_path)
    for word, volume in volumes.items():
        np.testing.assert_array_equal(voxels(tmp_path, part(rows, word)), volume)


def test_philips_frames_come_out_precise(tmp_path: Path) -> None:
    """The display values of the parts are stretched differently; the precise ones compare."""
    ds = dixon(Manufacturer="Philips Medical Systems")
    slopes = {"WATER": 2.0, "FAT": 3.5, "IN_PHASE": 1.25, "OUT_PHASE": 0.75}
    scales = {"WATER": 0.05, "FAT": 0.05, "IN_PHASE": 0.02, "OUT_PHASE": 0.04}
    words = list(WORDS)
    set_scales(ds, lambda number: (slopes[words[number // N]], 10.0))
    for number, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        set_philips(item, scales[words[number // N]])
        group.add_new((0x2005, 0x140F), "SQ", [item])
    save([ds], tmp_path / "in")
    rows = convert(tmp_path)
    for word in words:
        stored = np.stack([pixels(("", word, k)) for k in range(N)])
        display = stored * slopes[word] + 10.0
        precise = display / (slopes[word] * scales[word])
        np.testing.assert_allclose(voxels(tmp_path, part(rows, word)), precise, rtol=1e-5)


@pytest.mark.parametrize("is_even", [True, False])
def test_philips_slices_come_out_precise_however_they_are_scaled(tmp_path: Path, is_even: bool) -> None:
    """dcm2niix itself writes an even stack well and an uneven one with both scales at once."""
    items = series(N, Manufacturer="Philips Medical Systems")
    expected = []
    for number, ds in enumerate(items):
        slope, scale = (2.0, 0.05) if is_even else (2.0 + 0.1 * number, 0.05 + 0.01 * number)
        ds.RescaleSlope, ds.RescaleIntercept = round(slope, 3), 0
        set_philips(ds, scale)
        expected.append(ds.pixel_array / scale)
    paths = [str(path) for path in save(items, tmp_path / "in")]
    assert is_unevenly_scaled(paths) is not is_even
    (row,) = convert(tmp_path)
    assert row["status"] == "ok"
    np.testing.assert_allclose(voxels(tmp_path, row), np.stack(expected), rtol=1e-5)


def test_scales_that_say_nothing() -> None:
    ds = Dataset()
    assert scale_of(ds) == (1.0, 0.0)
    ds.RescaleSlope, ds.RescaleIntercept = 0, 5  # dcm2niix takes it for 1
    assert scale_of(ds) == (1.0, 5.0)
    ds.RescaleSlope = 2
    set_philips(ds, 0.5)
    assert scale_of(ds) == (2.0, 5.0)  # another vendor may use these elements for anything
    ds.Manufacturer = "Philips"
    assert scale_of(ds) == (2.0, 5.0)
    ds.private_block(0x2005, "Philips MR Imaging DD 001")[0x0E].value = 0.0
    assert scale_of(ds) == (2.0, 5.0)


def test_classic_images_hold_nothing_of_anybody(tmp_path: Path) -> None:
    ds = dixon(PatientComments="canary-1", StationName="canary-2", PatientID="canary-3", SeriesDescription="canary-4")
    set_philips(ds, 0.5)
    ds.add_new((0x2005, 0x1099), "LO", "canary-5")
    (path,) = save([ds], tmp_path)
    targets = write_slices([(str(path), k) for k in (7, 3)], tmp_path / "slices")
    raw = path.read_bytes()
    assert raw.count(b"canary") == 5
    for number, (target, frame) in enumerate(zip(targets, (7, 3), strict=True), start=1):
        assert b"canary" not in Path(target).read_bytes()
        image = pydicom.dcmread(target)
        assert image.InstanceNumber == number
        np.testing.assert_array_equal(image.pixel_array, ds.pixel_array[frame])
        assert not {"PatientID", "StudyDate", "Manufacturer", "InstitutionName"} & {e.keyword for e in image}


def test_what_cannot_be_taken_apart_is_told(tmp_path: Path) -> None:
    cases = {}
    lacking = dixon()
    lacking.PixelData = lacking.PixelData[: 7 * 12 * 16 * 2]
    cases[Reason.DICOM_TRUNCATED] = lacking
    placeless = dixon()
    del placeless.PerFrameFunctionalGroupsSequence[7].PlanePositionSequence
    cases[Reason.NO_GEOMETRY] = placeless
    strange = dixon()
    del strange.PixelData
    strange.FloatPixelData = b"\0" * 16
    cases[Reason.DICOM_UNSUPPORTED_TS] = strange
    cases[Reason.DICOM_UNREADABLE] = as_rle(dixon())
    for number, (reason, ds) in enumerate(cases.items()):
        (path,) = save([ds], tmp_path / str(number))
        if reason is Reason.DICOM_UNREADABLE:
            path.write_bytes(path.read_bytes().replace(b"\xfe\xff\x00\xe0", b"\xfe\xff\x99\xe0"))
        with pytest.raises(DataError) as caught:
            write_slices([(str(path), 7)], tmp_path / str(number) / "slices")
        assert caught.value.reason is reason


def test_voxels_in_another_order_are_noticed(tmp_path: Path) -> None:
    items = series(N)
    paths = [str(path) for path in save(items, tmp_path)]
    array = np.stack([ds.pixel_array for ds in items])
    check_values(paths, array)
    wrong = (array[::-1], array[:, ::-1], array[:, :, ::-1], array[:, ::-1, ::-1], array * 1.01, array[:, :-1])
    for turned in wrong:
        with pytest.raises(DataError) as caught:
            check_values(paths, turned)
        assert caught.value.reason is Reason.AFFINE_MISMATCH
