"""The procedural person: sides, symmetry, sizes, planes and fat against what its parameters say."""

from dataclasses import replace

import numpy as np
import pytest

from paraspinal.core.labels import all_labels, disc_labels, muscle_labels, vertebra_labels
from paraspinal.core.vocab import Muscle, Side
from paraspinal.phantom.anatomy import Anatomy, AnatomyParameters, Tissue, sample_parameters
from paraspinal.phantom.parameters import PHANTOM_MUSCLES, per_muscle, phantom_labels

CODES = phantom_labels()
SMOOTH = AnatomyParameters(deformation_mm=0.0)


def axial(z_mm: float, step_mm: float = 1.0) -> np.ndarray:
    """Points of an axial plane, mirrored exactly about x = 0."""
    x = np.arange(-109.5, 110, step_mm)
    y = np.arange(-80.0, 120, step_mm)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    return np.concatenate([grid, np.full((*grid.shape[:2], 1), z_mm)], axis=-1)


@pytest.fixture(scope="module")
def smooth() -> Anatomy:
    return Anatomy(SMOOTH)


@pytest.fixture(scope="module")
def drawn() -> Anatomy:
    return Anatomy(sample_parameters(np.random.default_rng(3)))


def test_origin_is_the_centre_of_l3(smooth: Anatomy) -> None:
    assert np.allclose(smooth.level_planes()["L3"].centre_mm, 0)
    assert smooth.tissue_and_label([0.0, -6.0, 0.0])[1] == vertebra_labels()["L3"]


def test_left_is_positive_x_and_every_muscle_lies_on_its_side(drawn: Anatomy) -> None:
    points = axial(float(drawn.level_planes()["L3"].centre_mm[2]))
    _, label = drawn.tissue_and_label(points)
    for (muscle, side), code in CODES.items():
        x = points[label == code][:, 0]
        assert x.size > 50, muscle
        assert np.sign(x.mean()) == (1 if side is Side.LEFT else -1)
        assert abs(x.mean()) > 8


def test_arrangement_at_l3(smooth: Anatomy) -> None:
    points = axial(0.0)
    _, label = smooth.tissue_and_label(points)
    centre = {muscle: points[label == muscle_labels()[muscle, Side.LEFT]].mean(axis=0) for muscle in PHANTOM_MUSCLES}
    mf, es = centre[Muscle.MULTIFIDUS], centre[Muscle.ERECTOR_SPINAE]
    pm, ql = centre[Muscle.PSOAS_MAJOR], centre[Muscle.QUADRATUS_LUMBORUM]
    assert mf[0] < es[0] < ql[0]  # multifidus is medial, quadratus lateral
    assert pm[1] < ql[1] < es[1]  # psoas in front, erector spinae behind


def test_symmetric_parameters_give_a_mirror_image(smooth: Anatomy) -> None:
    codes = muscle_labels()
    mirror = np.arange(6000)
    for muscle in PHANTOM_MUSCLES:
        mirror[codes[muscle, Side.LEFT]], mirror[codes[muscle, Side.RIGHT]] = (
            codes[muscle, Side.RIGHT], codes[muscle, Side.LEFT],
        )  # fmt: skip
    for z in (-80.0, -37.0, 0.0, 37.0):
        _, label = smooth.tissue_and_label(axial(z))
        muscles = np.where(label >= 5000, label, 0)
        flipped = np.where(label >= 5000, mirror[label], 0)[:, ::-1]
        # Rounding decides voxels that lie on a border to the last bit.
        assert np.count_nonzero(muscles != flipped) <= 0.004 * np.count_nonzero(muscles)


def test_areas_of_a_normal_adult(smooth: Anatomy) -> None:
    disc = smooth.disc_planes()["L3_L4"].point_mm
    _, label = smooth.tissue_and_label(axial(float(disc[2]), 0.5))
    area = {m: np.count_nonzero(label == muscle_labels()[m, Side.RIGHT]) * 0.25 for m in PHANTOM_MUSCLES}
    expected = {
        Muscle.MULTIFIDUS: 600, Muscle.ERECTOR_SPINAE: 1530, Muscle.PSOAS_MAJOR: 1100, Muscle.QUADRATUS_LUMBORUM: 500,
    }  # fmt: skip
    for muscle, wanted in expected.items():
        assert area[muscle] == pytest.approx(wanted, rel=0.12), muscle


@pytest.mark.parametrize("muscle", [Muscle.PSOAS_MAJOR, Muscle.QUADRATUS_LUMBORUM])
def test_bulk_multiplies_the_area(smooth: Anatomy, muscle: Muscle) -> None:
    thin = Anatomy(replace(SMOOTH, muscle_bulk={**per_muscle(1.0), (muscle, Side.LEFT): 0.7}))
    z = float(smooth.disc_planes()["L3_L4"].point_mm[2])
    code = muscle_labels()[muscle, Side.LEFT]
    before, after = (np.count_nonzero(a.tissue_and_label(axial(z, 0.5))[1] == code) for a in (smooth, thin))
    # Neighbours cover a rim of the psoas, less of a thin one.
    assert after / before == pytest.approx(0.7, abs=0.06)


def test_multifidus_grows_and_erector_shrinks_caudally(smooth: Anatomy) -> None:
    planes = smooth.level_planes()
    areas = []
    for level in ("L1", "L3", "L5"):
        _, label = smooth.tissue_and_label(axial(float(planes[level].centre_mm[2])))
        areas.append([np.count_nonzero(label == muscle_labels()[m, Side.LEFT]) for m in PHANTOM_MUSCLES])
    mf, es, pm, _ = np.array(areas).T
    assert mf[0] < mf[1] < mf[2]
    assert es[0] > es[2]
    assert pm[0] < pm[1] < pm[2]


@pytest.mark.parametrize("n_lumbar", [4, 5, 6])
def test_planes_are_ordered_and_vertebrae_fill_them(n_lumbar: int) -> None:
    anatomy = Anatomy(replace(SMOOTH, n_lumbar=n_lumbar))
    planes = anatomy.level_planes()
    lumbar = [f"L{k + 1}" for k in range(n_lumbar)]
    assert list(planes)[4:] == ["T11", "T12", *lumbar, "S1"]
    heights = [h for ends in planes.values() for h in (ends.superior_point_mm[2], ends.inferior_point_mm[2])]
    assert np.all(np.diff(heights) < 0)
    for name in lumbar:
        ends = planes[name]
        axis = (ends.superior_point_mm - ends.inferior_point_mm) / np.linalg.norm(
            ends.superior_point_mm - ends.inferior_point_mm
        )
        forward = np.cross(axis, [1.0, 0.0, 0.0])  # at the front rim the end plates are not hollow
        reach = anatomy.parameters.vertebra_depth_mm * 0.44
        for point, sign in ((ends.superior_point_mm, -1), (ends.inferior_point_mm, 1)):
            rim = point + forward * np.sign(-forward[1]) * reach
            inside = anatomy.tissue_and_label(rim + axis * sign * 1.5)[1]
            outside = anatomy.tissue_and_label(rim - axis * sign * 1.5)[1]
            assert inside == vertebra_labels()[name]
            assert outside != vertebra_labels()[name]


@pytest.mark.parametrize("seed", range(8))
def test_every_drawn_person_has_the_right_label_at_every_centre(seed: int) -> None:
    anatomy = Anatomy(sample_parameters(np.random.default_rng([77, seed])))
    planes = anatomy.level_planes()
    for name in ("T11", "T12", *(n for n in planes if n.startswith("L"))):
        # A little in front of the centre, off the basivertebral vein.
        assert anatomy.tissue_and_label(planes[name].centre_mm + np.array([3, -6, 0]))[1] == vertebra_labels()[name]
    for name, disc in anatomy.disc_planes().items():
        if name in disc_labels():
            assert anatomy.tissue_and_label(disc.point_mm)[1] == disc_labels()[name]


def test_labels_are_registered_or_upper_thoracic(drawn: Anatomy) -> None:
    points = np.stack(np.meshgrid([0.0], np.arange(-60, 120, 2.0), np.arange(-160, 160, 2.0)), axis=-1)
    _, label = drawn.tissue_and_label(points)
    known = {x.code for x in all_labels()} | {0}
    upper = {27, 28, 29, 30, 78, 79, 80, 81}
    assert set(np.unique(label).tolist()) <= known | upper


def test_muscle_tissue_and_muscle_label_are_the_same_points(drawn: Anatomy) -> None:
    for z in (-90.0, -30.0, 40.0):
        tissue, label = drawn.tissue_and_label(axial(z))
        assert np.array_equal(tissue == Tissue.MUSCLE, label >= min(muscle_labels().values()))


def test_fat_field_has_the_wanted_mean_and_stays_inside_the_muscles(drawn: Anatomy) -> None:
    z = np.arange(-128.0, 95.0, 3.0)
    total = dict.fromkeys(CODES.values(), (0.0, 0))
    for height in z:
        points = axial(float(height), 2.0)
        _, label = drawn.tissue_and_label(points)
        fat = drawn.intramuscular_fat(points)
        assert np.all(fat[label < 5000] == 0)
        assert np.all((fat >= 0) & (fat <= 1))
        for code, (amount, count) in total.items():
            own = fat[label == code]
            total[code] = (amount + float(own.sum()), count + own.size)
    for (muscle, side), code in CODES.items():
        amount, count = total[code]
        assert amount / count == pytest.approx(drawn.parameters.intramuscular_fat_frac[muscle, side], abs=0.01)


def test_same_seed_same_person_other_seed_another() -> None:
    points = axial(0.0, 3.0)
    first, again = (Anatomy(sample_parameters(np.random.default_rng(9))) for _ in range(2))
    other = Anatomy(sample_parameters(np.random.default_rng(10)))
    assert np.array_equal(first.tissue_and_label(points)[0], again.tissue_and_label(points)[0])
    assert not np.array_equal(first.tissue_and_label(points)[0], other.tissue_and_label(points)[0])


def test_number_of_lumbar_vertebrae_is_checked() -> None:
    with pytest.raises(ValueError, match="n_lumbar"):
        AnatomyParameters(n_lumbar=7)
