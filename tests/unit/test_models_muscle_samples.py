"""Samples of the muscles task: drawn first, replayed from their record, outlined by a convention, shared pixels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from muscle_factory import boxes, plain_geometry, small_bank, with_pairs

from paraspinal.models.input.muscle_input import Convention, MuscleInput
from paraspinal.models.synthesis.augmentation import apply_degradation, draw_degradation
from paraspinal.models.synthesis.contrast import Paint
from paraspinal.models.synthesis.ingredients import ALL_INGREDIENTS, Ingredient
from paraspinal.models.synthesis.muscles import task as task_module
from paraspinal.models.synthesis.muscles.atlas_bank import MAX_DISTANCE_MM, MuscleShape
from paraspinal.models.synthesis.muscles.atlas_person import AtlasDraw
from paraspinal.models.synthesis.muscles.caudal import BELOW_MM, Taper, apply_taper
from paraspinal.models.synthesis.muscles.deep_border import QuadratusContact, apply_contact
from paraspinal.models.synthesis.muscles.fat_layers import (
    LEAN_EDGE_MM,
    FatLayers,
    MidlineLayer,
    Wedge,
    apply_fat_layers,
)
from paraspinal.models.synthesis.muscles.outlines import (
    OUTLINE_FILE,
    OUTLINE_PIXEL_MM,
    OUTLINE_SCALE,
    OutlineMix,
    load_outlines,
)
from paraspinal.models.synthesis.muscles.record import from_json, to_json
from paraspinal.models.synthesis.muscles.shares import class_shares
from paraspinal.models.synthesis.muscles.task import SAMPLE_SHAPE, MuscleTask

SHOWN = MuscleInput(has_neighbours=True, has_convention=True)
NO_LAYERS = FatLayers(None, None)


def outline_maps(n: int = 3) -> np.ndarray:
    """Draw label maps of rectangles: erector right, multifidus right and left, erector left, touching in pairs."""
    maps = np.zeros((n, 120, 200), dtype=np.uint8)
    for k, one in enumerate(maps):
        for code, first, end in ((1, 20, 60), (2, 60, 90 + k), (3, 105 - k, 135), (4, 135, 175)):
            one[40:90, first:end] = code
    return maps


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a few outlines; the atlas is one of round muscles."""
    path = tmp_path / OUTLINE_FILE
    path.parent.mkdir(parents=True)
    np.savez(path, t1_labels=outline_maps(), t2_labels=outline_maps(2))
    monkeypatch.setattr(task_module, "_atlas", lambda _: small_bank())
    return tmp_path


def drawn(task: MuscleTask, seed: int) -> tuple[object, AtlasDraw]:
    """Draw samples until one is from the atlas."""
    rng = np.random.default_rng(seed)
    while True:
        draw = task.draw(rng)
        if isinstance(draw.anatomy, AtlasDraw):
            return draw, draw.anatomy


@pytest.mark.parametrize("atlas_frac", [0.0, 1.0])
def test_a_sample_is_replayed_from_its_record(shapes: Path, atlas_frac: float) -> None:
    task = MuscleTask(shapes, atlas_frac, shown=SHOWN, has_shares=True)
    for seed in range(3):
        draw = task.draw(np.random.default_rng(seed))
        record = json.dumps(to_json(draw), allow_nan=False)
        again = from_json(json.loads(record))
        assert json.dumps(to_json(again)) == record
        first, second = task.sample(np.random.default_rng(seed)), task.apply(again)
        for made, replayed in zip(first, second, strict=True):
            assert made.dtype == replayed.dtype
            assert np.array_equal(made, replayed)


def test_what_is_drawn_decides_everything(shapes: Path) -> None:
    task = MuscleTask(shapes, 1.0, shown=SHOWN, has_shares=True)
    draw, _ = drawn(task, 5)
    once, twice = task.apply(draw), task.apply(draw)
    assert all(np.array_equal(a, b) for a, b in zip(once, twice, strict=True))


def test_a_record_of_something_else_is_refused(shapes: Path) -> None:
    record = to_json(drawn(MuscleTask(shapes, 1.0), 1)[0])
    with pytest.raises(TypeError, match="SampleDraw"):
        from_json({**record, "colour": 1})


def test_shapes_that_are_not_here_are_said(shapes: Path) -> None:
    draw, anatomy = drawn(MuscleTask(shapes, 1.0), 2)
    with pytest.raises(ValueError, match="atlas"):
        MuscleTask(None).apply(draw)
    with_outline = replace(draw, anatomy=replace(anatomy, outline=OutlineMix(0, 1, False, 0.0)))
    with pytest.raises(ValueError, match="outlines"):
        MuscleTask(shapes, 1.0, use=ALL_INGREDIENTS - {Ingredient.OUTLINES}).apply(with_outline)


def test_neighbours_and_convention_are_shown_as_drawn(shapes: Path) -> None:
    task = MuscleTask(shapes, 1.0, shown=SHOWN, has_shares=True)
    draw, _ = drawn(task, 3)
    both = replace(draw, has_neighbours=(True, True), is_thick=False, field_of_view=(0, 112, 0, 144))
    inputs, shares, _ = task.apply(both)
    assert inputs.shape == (5, *SAMPLE_SHAPE)
    assert shares.shape == (9, *SAMPLE_SHAPE)
    assert all(inputs[channel].std() > 0 for channel in range(4))
    alone = task.apply(replace(both, has_neighbours=(False, True)))[0]
    assert not alone[2].any()
    assert np.array_equal(np.delete(alone, 2, axis=0), np.delete(inputs, 2, axis=0))
    values = {c: task.apply(replace(both, convention=c))[0][4] for c in Convention}
    assert (values[Convention.LEAN] == 0).all()
    assert (values[Convention.COMPARTMENT] == 1).all()


def test_conventions_differ_in_the_outlines_and_not_in_the_image(shapes: Path) -> None:
    task = MuscleTask(shapes, 1.0, shown=SHOWN, has_shares=True)
    draw, anatomy = drawn(task, 4)
    wedge = Wedge((6.0, 6.0), 60.0, 0.5, 1.0, 0.9, 1)
    anatomy = replace(anatomy, fat_layers=FatLayers(wedge, MidlineLayer((3.0, 3.0), 0.2, is_ligament=False)))
    lean, whole = (task.stack(replace(draw, anatomy=anatomy, convention=c)) for c in Convention)
    assert np.array_equal(lean[0], whole[0])
    assert lean[1][1:].sum() < 0.97 * whole[1][1:].sum()
    assert (lean[1][1:].sum(axis=0) <= whole[1][1:].sum(axis=0) + 1e-5).all()


def test_lean_muscle_is_outlined_within_its_edge_by_a_known_distance() -> None:
    geometry = plain_geometry()
    fields = boxes(geometry.x_mm, geometry.y_mm)
    lean, whole = (apply_fat_layers(NO_LAYERS, fields, geometry.x_mm, geometry.y_mm, c).outlined_mm for c in Convention)
    assert np.array_equal(whole[8], fields[8])
    np.testing.assert_allclose(lean[8] - fields[8], LEAN_EDGE_MM, atol=1e-5)
    inside = lean[8] < 0
    # The border of the two muscles stays where it is.
    assert np.array_equal((lean[0] < lean[2])[inside], (fields[0] < fields[2])[inside])


def test_fat_is_counted_by_the_compartment_only_and_ligament_by_neither() -> None:
    geometry = plain_geometry()
    x, y = geometry.x_mm, geometry.y_mm
    fields = boxes(x - 25.0, y)  # beside the midline
    paints = {}
    for is_ligament in (False, True):
        draw = FatLayers(None, MidlineLayer((4.0, 4.0), 0.0, is_ligament))
        made = {c: apply_fat_layers(draw, fields, x, y, c) for c in Convention}
        areas = {c: float((made[c].outlined_mm[0] < 0).sum()) for c in Convention}
        counted = areas[Convention.COMPARTMENT] == float((fields[0] < 0).sum())
        assert counted != is_ligament
        assert areas[Convention.LEAN] < areas[Convention.COMPARTMENT] or is_ligament
        paints[is_ligament] = made[Convention.LEAN].layers[0][1]
    assert paints == {False: Paint.VISCERAL_FAT, True: Paint.FASCIA}


def test_shares_add_up_and_an_outline_through_a_pixel_halves_it() -> None:
    geometry = plain_geometry()
    x, y = geometry.x_mm, geometry.y_mm
    for offset, expected in ((0.0, 0.5), (0.5, 0.25), (-0.5, 0.75), (1.0, 0.0)):
        fields = np.full((10, *x.shape), MAX_DISTANCE_MM, dtype=np.float32)
        fields[0] = fields[8] = np.abs(x - 11.0) - 10.0 + np.float32(offset)  # from x = 1, a pixel's middle, to 21
        shares = class_shares(fields)
        np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-6)
        assert shares[1][x == 1.0] == pytest.approx(expected, abs=1e-6)
        assert shares[1][x == 11.0] == pytest.approx(1.0)
    fields = boxes(x, y)
    fields[0] += 0.5  # a border half a millimetre into multifidus
    fields[2] -= 0.5
    shares = class_shares(fields)
    at_border = (np.abs(x - 9.0) < 0.1) & (abs(y) < 10)
    assert shares[1][at_border] == pytest.approx(0.25, abs=1e-5)
    np.testing.assert_allclose((shares[1] + shares[3])[at_border], 1.0, atol=1e-6)


def test_muscles_that_overlap_share_no_more_than_a_pixel() -> None:
    geometry = plain_geometry()
    discs = np.stack([np.hypot(geometry.x_mm - 3 * k, geometry.y_mm) - 15.0 for k in range(8)]).astype(np.float32)
    shares = class_shares(with_pairs(discs))
    assert shares.min() >= 0.0
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-5)


def test_a_real_outline_takes_the_place_of_the_atlas_at_its_height_only(shapes: Path) -> None:
    bank, outlines = small_bank(), load_outlines(shapes)
    assert len(outlines.maps) == 5
    mix = OutlineMix(0, 1, False, 0.0)
    shape = outlines.apply(mix, MuscleShape(bank.distances_mm[2], 0.2), bank)
    pixel = 1.5 * 1.5
    for field, width in ((0, 30), (1, 30), (2, 40), (3, 40)):
        expected = width * 50 * (OUTLINE_PIXEL_MM * OUTLINE_SCALE) ** 2
        assert (shape.distances_mm[field] < 0).sum() * pixel == pytest.approx(expected, rel=0.12)
    assert (shape.distances_mm[4:8] >= 1.0 - shape.distances_mm[8:].min(axis=0)).all()
    above = MuscleShape(bank.distances_mm[6], 0.6)
    assert outlines.apply(mix, above, bank) is above


def test_towards_the_sacrum_multifidus_becomes_most_of_the_pair() -> None:
    bank = small_bank()
    y, x = np.meshgrid(*[bank.origin_mm[0] + 1.5 * np.arange(n) for n in bank.distances_mm.shape[2:]], indexing="ij")
    fields = boxes(x.astype(np.float32), y.astype(np.float32))

    def share(shape: MuscleShape) -> float:
        multifidus, erector = (np.count_nonzero(shape.distances_mm[k] < 0) for k in (0, 2))
        return multifidus / (multifidus + erector)

    taper = Taper(1.0, 0.8, 2.0)
    found = [
        share(apply_taper(taper, MuscleShape(fields, height), below))
        for height, below in ((0.5, 0.0), (0.1, 0.0), (0.0, 0.0), (0.0, 15.0), (0.0, BELOW_MM))
    ]
    assert found[0] == share(MuscleShape(fields, 0.5))
    assert found == sorted(found)
    assert found[-1] == pytest.approx(0.8, abs=0.06)
    end = apply_taper(taper, MuscleShape(fields, 0.0), BELOW_MM)
    assert end.height_frac < 0
    assert (end.distances_mm[6:8] == MAX_DISTANCE_MM).all()


def test_quadratus_comes_to_the_erector_and_never_overlaps_it() -> None:
    geometry = plain_geometry()
    fields = boxes(geometry.x_mm, geometry.y_mm)
    fields[6] = np.hypot(geometry.x_mm - 40.0, geometry.y_mm + 34.0) - 10.0  # 5 mm in front of the erector's edge
    touching = apply_contact(QuadratusContact(((1.0, 6.0), None)), fields)
    assert fields[8][fields[6] < 0].min() > 3.0
    assert 0.9 < touching[8][touching[6] < 0].min() < 2.5
    assert np.array_equal(touching[7], fields[7])
    overlapping = fields.copy()
    overlapping[6] -= 12.0
    assert apply_contact(QuadratusContact(((1.0, 6.0), None)), overlapping)[8][touching[6] < 0].min() > 0.9


def test_the_coil_rim_is_brightest_at_the_skin() -> None:
    draw = replace(
        draw_degradation(np.random.default_rng(0)),
        texture=0.0, front_back=0.0, left_right=0.0, bowl=0.0, lumps=0.0, rim=1.0, rim_mm=10.0,
        blur_px=(0.01, 0.01), noise_sd=0.0, gamma=1.0,
    )  # fmt: skip
    depth = np.tile(np.arange(0.0, 80.0, 2.0, dtype=np.float32)[:, None], (1, 40))
    image = apply_degradation(draw, np.ones_like(depth), depth)
    profile = image.mean(axis=1)
    assert profile[0] / profile[-1] == pytest.approx(2.0, abs=0.25)
    assert profile[5] / profile[-1] == pytest.approx(1.0 + np.exp(-1.0), abs=0.15)
    flat = apply_degradation(draw, np.ones_like(depth))
    assert np.ptp(flat) < 1e-5


def test_slices_of_one_scan_share_shading_and_not_noise() -> None:
    draw = replace(draw_degradation(np.random.default_rng(1)), noise_sd=0.05, texture=0.0)
    image = np.ones((64, 64), dtype=np.float32)
    first, second = (apply_degradation(draw, image, index=i) for i in (0, 1))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.5
    assert np.std(first - second) > 0.01
