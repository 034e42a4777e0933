from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scan_factory import grid_of, rods, run, save, scan_row, work_in, world
from scipy import ndimage

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.imaging.subcutaneous import subcutaneous_fat_intensity
from paraspinal.core.labels import muscle_labels
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Muscle, Sequence, Side
from paraspinal.stages.levels.stage import STAGE as LEVELS
from paraspinal.stages.measure.fat import fat_methods
from paraspinal.stages.measure.fat.dixon_ff_ratio_of_sums import ratio_of_sums
from paraspinal.stages.measure.fat.dixon_ff_voxel_mean import voxel_mean
from paraspinal.stages.measure.fat.dixon_pdff_map import pdff_map
from paraspinal.stages.measure.fat.mixture import fit
from paraspinal.stages.measure.fat.profile import profile_of
from paraspinal.stages.measure.regions import Edge, regions_of
from paraspinal.stages.measure.stage import STAGE as MEASURE

DATA = Path(os.environ.get("PARASPINAL_DATA", Path(__file__).parents[2] / "../shared/data"))
RADII = {Side.LEFT: 16.0, Side.RIGHT: 15.0}
TWO_POINTS = 0.02
BRIGHTNESS_METHODS = ("t1t2_sat_anchored", "t1t2_gmm3_musclemap")
BROAD, FINE = 3.0, 1.2
"""Width of streaks in half pixels: some voxels are all fat; hardly any is."""
MUSCLE, FAT, OTHER = 100.0, 300.0, 140.0


def trunk(grid: Grid) -> np.ndarray:
    """Image (z, y, x) of an oval body in air: 20 mm of subcutaneous fat around other tissue."""
    points = world(grid)
    x, y = points[..., 0], points[..., 1]
    image = np.where(np.hypot(x / 140, (y + 20) / 95) < 1, FAT, 0.0)
    image[np.hypot(x / 120, (y + 20) / 75) < 1] = OTHER
    return image


def streaks(labels: np.ndarray, fraction: float, rng: np.random.Generator, width: float) -> np.ndarray:
    """Fat share of every voxel: streaks that fill ``fraction`` of each muscle, half a voxel sharp."""
    shape = (labels.shape[0], 2 * labels.shape[1], 2 * labels.shape[2])
    field = ndimage.gaussian_filter(rng.normal(size=shape), (0, width, width))
    fine = np.repeat(np.repeat(labels, 2, axis=1), 2, axis=2)
    share = np.zeros(shape)
    for code in np.unique(labels[labels > 0]):
        share[(fine == code) & (field > np.quantile(field[fine == code], 1 - fraction))] = 1.0
    return share.reshape(shape[0], labels.shape[1], 2, labels.shape[2], 2).mean(axis=(2, 4))


def noisy(image: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude image with Rician noise."""
    return np.hypot(image + rng.normal(0, sd, image.shape), rng.normal(0, sd, image.shape)).astype(np.float32)


def brightness_scan(tmp_path: Path, share: float, width: float | None, sd: float) -> tuple[Row, dict]:
    """A T1w scan whose muscles hold a known share of fat, in streaks or (None) evenly; its row and the truth."""
    rng = np.random.default_rng(1)
    grid = grid_of(spacing_mm=(1.0, 1.0, 8.0), extent_mm=(300.0, 220.0, 32.0))
    labels = rods(grid, RADII, muscles=tuple(Muscle))
    fat = np.full(labels.shape, share) if width is None else streaks(labels, share, rng, width)
    image = np.where(labels > 0, MUSCLE + (FAT - MUSCLE) * fat, trunk(grid))
    save(tmp_path, grid, dseg=labels, image=noisy(image, sd, rng))
    truth = {code: float(fat[labels == code].mean()) for code in muscle_labels().values()}
    row = scan_row(grid, dseg_path="dseg.nii.gz", image_path="image.nii.gz")
    return measured(tmp_path, row), truth


def measured(tmp_path: Path, row: Row) -> Row:
    return run(MEASURE, run(LEVELS, [row], work_in(tmp_path)), work_in(tmp_path))[0]


def stack_metrics(row: Row) -> list[Row]:
    return [m for m in row["metrics"] if m["level"] == "stack"]


@pytest.mark.parametrize(
    ("share", "sd"), [(0.03, 8.0), (0.06, 15.0), (0.12, 8.0), (0.25, 15.0), (0.4, 8.0), (0.6, 8.0), (0.6, 15.0)]
)
def test_known_fractions_by_brightness(tmp_path: Path, share: float, sd: float) -> None:
    row, truth = brightness_scan(tmp_path, share, BROAD, sd)
    for m in stack_metrics(row):
        muscle = Muscle(m["muscle"])
        assert m["fi_method"] in BRIGHTNESS_METHODS
        if muscle is Muscle.PSOAS_MAJOR:
            assert (m["fi"], m["fi_reason_code"]) == (None, "FI_METHOD_INVALID")
            continue
        assert m["fi"] == pytest.approx(truth[muscle_labels()[muscle, Side(m["side"])]], abs=TWO_POINTS)
        assert m["fcsa_mm2"] == pytest.approx(m["acsa_mm2"] * (1 - m["fi"]))
        assert m["fi_reason_code"] is None


@pytest.mark.parametrize("sd", [3.0, 8.0, 20.0])
def test_lean_muscle_is_null_not_fifty_percent(tmp_path: Path, sd: float) -> None:
    row, _ = brightness_scan(tmp_path, 0.02, None, sd)
    metrics = [m for m in stack_metrics(row) if m["muscle"] != "psoas_major"]
    assert {m["fi_method"] for m in metrics} == set(BRIGHTNESS_METHODS)
    for m in metrics:
        assert (m["fi"], m["fi_eroded"], m["fi_dilated"], m["fcsa_mm2"]) == (None,) * 4
        assert m["fi_reason_code"] == "FI_UNIMODAL"
        assert m["acsa_mm2"] is not None


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_streaks_finer_than_a_voxel_are_measured_right_or_not_at_all(tmp_path: Path, share: float) -> None:
    row, truth = brightness_scan(tmp_path, share, FINE, 8.0)
    given = [m for m in stack_metrics(row) if m["fi"] is not None]
    for m in given:
        assert m["fi"] == pytest.approx(truth[muscle_labels()[Muscle(m["muscle"]), Side(m["side"])]], abs=TWO_POINTS)
    assert "t1t2_sat_anchored" in {m["fi_method"] for m in given}
    assert "FI_UNIMODAL" in {m["fi_reason_code"] for m in stack_metrics(row) if m["fi_method"] == BRIGHTNESS_METHODS[1]}


def test_results_repeat_exactly(tmp_path: Path) -> None:
    first, second = (brightness_scan(tmp_path, 0.12, BROAD, 8.0)[0] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"is_fat_suppressed": True, "sequence": "T2w"}, "FATSUP_NO_FI"),
        ({"sequence": "STIR"}, "FATSUP_NO_FI"),
        ({"sequence": "unknown"}, "SEQ_UNKNOWN"),
        ({"sequence": "dixon"}, "DIXON_INCOMPLETE"),
        ({"sequence": "dixon", "fi_reason_code": "DIXON_SWAP_SUSPECTED"}, "DIXON_SWAP_SUSPECTED"),
    ],
)
def test_no_method_applies_one_row_says_why(tmp_path: Path, over: Row, reason: str) -> None:
    grid = grid_of(spacing_mm=(2.0, 2.0, 8.0))
    labels = rods(grid, RADII, muscles=tuple(Muscle))
    save(tmp_path, grid, dseg=labels, image=labels.astype(np.float32))
    row = measured(tmp_path, scan_row(grid, dseg_path="dseg.nii.gz", image_path="image.nii.gz", **over))
    assert len(stack_metrics(row)) == 8
    for m in stack_metrics(row):
        assert (m["fi_method"], m["fi"], m["fi_reason_code"]) == (None, None, reason)
        assert m["volume_mm3"] > 0


def dixon_scan(tmp_path: Path, **over: object) -> tuple[Row, Grid, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    grid = grid_of(spacing_mm=(1.5, 1.5, 8.0))
    labels = rods(grid, RADII, muscles=tuple(Muscle))
    fat = rng.integers(0, 400, labels.shape).astype(np.int16)
    water = rng.integers(100, 900, labels.shape).astype(np.int16)
    fat[:, ::7], water[:, ::7] = 0, 0  # rows without signal
    save(tmp_path, grid, dseg=labels, fat=fat, water=water)
    paths = {"dseg_path": "dseg.nii.gz", "image_path": "water.nii.gz", "water_path": "water.nii.gz"}
    row = scan_row(grid, **(paths | {"sequence": "dixon", "fat_path": "fat.nii.gz"} | over))
    return measured(tmp_path, row), grid, labels, water.astype(float), fat.astype(float)


def test_dixon_is_exact(tmp_path: Path) -> None:
    row, _, labels, water, fat = dixon_scan(tmp_path)
    metrics = [m for m in stack_metrics(row) if m["fi_method"] in ("dixon_ff_ratio_of_sums", "dixon_ff_voxel_mean")]
    assert len(metrics) == 2 * 8
    for m in metrics:
        mask = labels == muscle_labels()[Muscle(m["muscle"]), Side(m["side"])]
        f, w = fat[mask], water[mask]
        signal = f + w > 0
        assert not signal.all()
        expected = {
            "dixon_ff_ratio_of_sums": f.sum() / (f + w).sum(),
            "dixon_ff_voxel_mean": (f[signal] / (f + w)[signal]).mean(),
        }
        assert m["fi"] == pytest.approx(expected[m["fi_method"]], rel=1e-12)
        assert m["fcsa_mm2"] == pytest.approx(m["acsa_mm2"] * (1 - m["fi"]), rel=1e-12)


@pytest.mark.parametrize("full_scale", [1.0, 100.0, 1000.0])
def test_fat_fraction_map(tmp_path: Path, full_scale: float) -> None:
    grid = grid_of(spacing_mm=(1.5, 1.5, 8.0))
    labels = rods(grid, RADII, muscles=tuple(Muscle))
    fraction = np.random.default_rng(4).uniform(0, 0.5, labels.shape)
    save(tmp_path, grid, dseg=labels, ff=(fraction * full_scale).astype(np.float32))
    row = scan_row(
        grid, sequence="dixon", dseg_path="dseg.nii.gz", fat_fraction_path="ff.nii.gz", fat_fraction_scale=full_scale
    )
    for m in stack_metrics(measured(tmp_path, row)):
        mask = labels == muscle_labels()[Muscle(m["muscle"]), Side(m["side"])]
        assert m["fi_method"] == "dixon_pdff_map"
        assert m["fi"] == pytest.approx(fraction[mask].mean(), rel=1e-6)


def test_a_fraction_map_on_another_scale_is_null(tmp_path: Path) -> None:
    grid = grid_of(spacing_mm=(2.0, 2.0, 8.0))
    labels = rods(grid, RADII)
    save(tmp_path, grid, dseg=labels, ff=np.full(labels.shape, 20, np.int16))
    row = scan_row(
        grid, sequence="dixon", dseg_path="dseg.nii.gz", fat_fraction_path="ff.nii.gz", fat_fraction_scale=1.0
    )
    m = next(m for m in stack_metrics(measured(tmp_path, row)) if m["muscle"] == "erector_spinae")
    assert (m["fi"], m["fi_reason_code"]) == (None, "DIXON_SCALE_MISMATCH")


def test_a_mask_without_signal_is_null_not_zero(tmp_path: Path) -> None:
    grid = grid_of(spacing_mm=(2.0, 2.0, 8.0))
    labels = rods(grid, RADII)
    nothing = np.zeros(labels.shape, np.int16)
    save(tmp_path, grid, dseg=labels, fat=nothing, water=nothing)
    row = scan_row(grid, sequence="dixon", dseg_path="dseg.nii.gz", fat_path="fat.nii.gz", water_path="water.nii.gz")
    for m in stack_metrics(measured(tmp_path, row)):
        assert m["fi"] is None
        assert m["fi_reason_code"] == ("CONSTANT_IMAGE" if m["muscle"] == "erector_spinae" else "SEG_EMPTY")


@pytest.mark.parametrize("noise", [0.0, 5.0])
@pytest.mark.parametrize("share", [0.03, 0.1, 0.2, 0.35, 0.6])
def test_known_fractions_by_dixon(tmp_path: Path, share: float, noise: float) -> None:
    """Streaks of pure fat in pure muscle. Magnitude images have a noise floor, which adds up to 1.25 times the noise
    over the signal to the fraction of lean muscle: 1.6 points here, at a signal-to-noise ratio of 80."""
    rng = np.random.default_rng(6)
    grid = grid_of(spacing_mm=(1.5, 1.5, 8.0), extent_mm=(190.0, 130.0, 64.0))
    labels = rods(grid, RADII, muscles=tuple(Muscle))
    fat = streaks(labels, share, rng, BROAD)
    water_image, fat_image = noisy(400.0 * (1 - fat), noise, rng), noisy(400.0 * fat, noise, rng)
    save(tmp_path, grid, dseg=labels, fat=fat_image, water=water_image, ff=(fat * 1000).astype(np.int16))
    paths = {"dseg_path": "dseg.nii.gz", "water_path": "water.nii.gz", "fat_path": "fat.nii.gz"}
    row = scan_row(grid, sequence="dixon", fat_fraction_path="ff.nii.gz", fat_fraction_scale=1000.0, **paths)
    metrics = stack_metrics(measured(tmp_path, row))
    assert {m["fi_method"] for m in metrics} == {m.name for m in fat_methods() if Sequence.DIXON in m.sequences}
    assert len(metrics) == 8 * len({m["fi_method"] for m in metrics})
    for m in metrics:
        true = float(fat[labels == muscle_labels()[Muscle(m["muscle"]), Side(m["side"])]].mean())
        assert m["fi"] == pytest.approx(true, abs=TWO_POINTS), m["fi_method"]
        assert m["bias_correction"] == "none"


@pytest.mark.parametrize("n4", [False, True])
def test_n4_is_done_on_request_and_recorded(tmp_path: Path, n4: bool) -> None:
    """Two thirds more brightness behind than in front: evened out, the fractions are right."""
    rng = np.random.default_rng(7)
    grid = grid_of(spacing_mm=(1.5, 1.5, 8.0), extent_mm=(300.0, 220.0, 32.0))
    labels = rods(grid, RADII, muscles=tuple(Muscle))
    fat = streaks(labels, 0.25, rng, BROAD)
    image = np.where(labels > 0, MUSCLE + (FAT - MUSCLE) * fat, trunk(grid))
    points = world(grid)
    bias = np.exp(0.25 * points[..., 0] / 80.0)
    save(tmp_path, grid, dseg=labels, image=noisy(image * bias, 5.0, rng))
    work = work_in(tmp_path, measure={"n4": n4})
    row = scan_row(grid, dseg_path="dseg.nii.gz", image_path="image.nii.gz")
    metrics = stack_metrics(run(MEASURE, run(LEVELS, [row], work), work)[0])
    error = []
    for m in metrics:
        assert m["bias_correction"] == ("n4" if n4 else "none")
        if m["fi"] is not None and m["fi_method"] == "t1t2_sat_anchored":
            true = float(fat[labels == muscle_labels()[Muscle(m["muscle"]), Side(m["side"])]].mean())
            error.append(abs(m["fi"] - true))
    assert len(error) >= 4
    assert (max(error) < 0.06) == n4


def test_n4_is_never_done_to_dixon_and_is_nothing_to_its_receipt(tmp_path: Path) -> None:
    work = [work_in(tmp_path, measure={"n4": n4}).settings for n4 in (False, True)]

    def ids(sequence: str) -> set[str]:
        row = scan_row(grid_of(), sequence=sequence, image_path="image.nii.gz")
        return {MEASURE.narrow(MEASURE.recipe(settings), [row], settings).id for settings in work}

    assert len(ids("dixon")) == 1
    assert len(ids("T2w")) == 2


def test_slice_weights_reach_the_fat_fraction() -> None:
    labels = np.ones((3, 5, 5), np.uint16)
    water = np.ones((3, 5, 5))
    fat = np.broadcast_to(np.array([0.0, 1.0, 3.0])[:, None, None], (3, 5, 5))
    region = regions_of(labels, [1], 1.0)[1]
    profile = profile_of(ratio_of_sums(water, fat), 1, region)
    assert profile.at(np.array([0.0, 0.5, 0.25]))["fi"] == pytest.approx((0.5 + 0.75) / (1.0 + 1.0))


def test_edges_stay_out_of_other_muscles() -> None:
    labels = np.zeros((2, 9, 9), np.uint16)
    labels[:, 2:7, 2:5], labels[:, 2:7, 5:7] = 1, 2
    region = regions_of(labels, [1, 2], 1.0)[1]
    counts = {edge: region.voxels[edge][0].size // 2 for edge in Edge}
    # 5 x 3 pixels; eroded 3 x 1; dilated by 3 above, 3 below and 5 on the one side that is free.
    assert counts == {Edge.AS_SEGMENTED: 15, Edge.ERODED: 3, Edge.DILATED: 15 + 3 + 3 + 5}


def test_erosion_does_not_eat_from_the_border_of_the_image() -> None:
    labels = np.ones((1, 4, 4), np.uint16)
    assert regions_of(labels, [1], 1.0)[1].voxels[Edge.ERODED][0].size == 16


def test_boundary_sensitivity_shows_fat_around_the_muscle(tmp_path: Path) -> None:
    grid = grid_of(spacing_mm=(1.0, 1.0, 8.0))
    labels = rods(grid, RADII)
    save(tmp_path, grid, dseg=labels, fat=np.where(labels, 10, 100), water=np.where(labels, 90, 0))
    row = scan_row(grid, sequence="dixon", dseg_path="dseg.nii.gz", fat_path="fat.nii.gz", water_path="water.nii.gz")
    m = next(m for m in stack_metrics(measured(tmp_path, row)) if m["muscle"] == "erector_spinae")
    assert (m["fi"], m["fi_eroded"]) == (pytest.approx(0.1), pytest.approx(0.1))
    assert m["fi_dilated"] > 0.15


def test_mixture_finds_known_components() -> None:
    centres = (np.arange(200) + 0.5) * 2
    truth = [(0.7, 100.0, 10.0), (0.1, 180.0, 25.0), (0.2, 300.0, 15.0)]
    counts = sum(s * np.exp(-0.5 * ((centres - m) / d) ** 2) / d for s, m, d in truth) * 1e5
    found = fit(centres, np.asarray(counts), 3)
    for index, (share, mean, sd) in enumerate(truth):
        assert found.shares[index] == pytest.approx(share, abs=0.01)
        assert found.means[index] == pytest.approx(mean, abs=1.0)
        assert found.sds[index] == pytest.approx(sd, abs=1.0)
    assert found.ashman_d(0, 2) == pytest.approx(np.sqrt(2) * 200 / np.hypot(10, 15), rel=0.02)


def test_subcutaneous_fat_is_found_and_its_absence_too() -> None:
    grid = grid_of(spacing_mm=(1.0, 1.0, 8.0), extent_mm=(300.0, 220.0, 64.0))
    image = noisy(trunk(grid), 8.0, np.random.default_rng(5))
    assert subcutaneous_fat_intensity(image, grid, MUSCLE) == pytest.approx(FAT, rel=0.02)
    assert subcutaneous_fat_intensity(image, grid, MUSCLE, posterior_to_mm=30.0) == pytest.approx(FAT, rel=0.02)
    suppressed = np.where(image > 200, 90.0, image)
    assert subcutaneous_fat_intensity(suppressed, grid, MUSCLE) is None
    inside = image[:, 60:160, 80:220]  # no air in view
    inside_grid = Grid((140, 100, 8), grid.spacing_mm, grid.origin_mm, grid.direction)
    assert subcutaneous_fat_intensity(inside, inside_grid, MUSCLE) is None


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "nifti/dixon_hand").is_dir(), reason="the private real images are not here")
def test_real_hand_dixon_agrees_with_its_reference() -> None:
    folder = DATA / "nifti/dixon_hand/output"
    water, fat, percent = (read(folder / f"{name}.nii.gz") for name in ("water", "fat", "fatfraction"))
    labels = ((water + fat) > 60).astype(np.uint16)  # the hand; background is noise
    region = regions_of(labels, [1], 1.0)[1]
    everywhere = np.ones(labels.shape[0])
    reference = percent[labels > 0].mean() / 100
    for method in (voxel_mean(water, fat), pdff_map(percent, 100.0)):
        assert profile_of(method, 1, region).at(everywhere)["fi"] == pytest.approx(reference, abs=0.01)
    signal = (water + fat)[labels > 0]
    weighted = np.average(percent[labels > 0], weights=signal) / 100
    ratio = profile_of(ratio_of_sums(water, fat), 1, region).at(everywhere)["fi"]
    assert ratio == pytest.approx(weighted, abs=1e-9)


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "nifti/dixon_lumbar").is_dir(), reason="the private real images are not here")
def test_real_lumbar_dixon_reproduces_its_ratio_of_sums(tmp_path: Path) -> None:
    folder = DATA / "nifti/dixon_lumbar"
    water, fat, manual = (read(folder / f"sub-TUM01_{name}.nii.gz") for name in ("water", "fat", "dseg"))
    grid = Grid.of(sitk.ReadImage(str(folder / "sub-TUM01_fat.nii.gz")))  # the water image lost its origin
    codes = muscle_labels()
    back = (Muscle.ERECTOR_SPINAE, Muscle.MULTIFIDUS)
    labels = np.zeros(manual.shape, np.uint16)
    for source, key in enumerate(
        [(back[0], Side.RIGHT), (back[1], Side.RIGHT), (back[1], Side.LEFT), (back[0], Side.LEFT)], start=1
    ):
        labels[manual == source] = codes[key]
    save(tmp_path, grid, dseg=labels, water=water.astype(np.float32), fat=fat.astype(np.float32))
    paths = {"dseg_path": "dseg.nii.gz", "water_path": "water.nii.gz", "fat_path": "fat.nii.gz"}
    row = measured(tmp_path, scan_row(grid, sequence="dixon", **paths))
    found = [m for m in stack_metrics(row) if Muscle(m["muscle"]) in back]
    found = [m for m in found if m["fi_method"] == "dixon_ff_ratio_of_sums"]
    assert len(found) == 4
    for m in found:
        mask = labels == codes[Muscle(m["muscle"]), Side(m["side"])]
        f, w = fat[mask].astype(float).sum(), water[mask].astype(float).sum()
        assert m["fi"] == pytest.approx(f / (f + w), abs=1e-6)
        assert 0.12 <= m["fi"] <= 0.165
        assert m["volume_mm3"] == pytest.approx(mask.sum() * grid.voxel_volume_mm3)
