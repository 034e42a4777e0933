"""Numbering and geometry against exact anatomy: a perfect network is imitated from the painter's own classes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from paraspinal.core.vocab import LevelNumbering
from paraspinal.models.synthesis.spine.anatomy import sample_chain
from paraspinal.models.synthesis.spine.painter import paint
from paraspinal.models.synthesis.spine.scene import Scene, Slice, Tissue, gaussians, sample_scene
from paraspinal.vertebrae.numbering import LevelGeometry, find_levels
from paraspinal.vertebrae.stack import Plane, SagittalStack

PIXEL_MM, SLICE_MM = 2.0, 4.0
SHAPE = (176, 144)
LATERAL_MM = np.arange(-20.0, 21.0, SLICE_MM)
TOP_MM, FRONT_MM = 180.0, -150.0
AXES = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
"""Columns: slices run to the left, rows down, columns to the back."""


@cache
def scene_with(n_lumbar: int) -> Scene:
    """Draw the first scene with so many lumbar vertebrae, its end-plates nearly flat and its column straight."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        if len(sample_chain(rng).lumbar) == n_lumbar:
            scene = sample_scene(np.random.default_rng(seed))
            flat = replace(scene.chain, concavity_mm=np.full(len(scene.chain.region), 0.3))
            return replace(scene, chain=flat, lip=0 * scene.lip, sway=np.zeros(4), rotation_rad=0.0)
    raise AssertionError("no such scene")


@cache
def perfect_stack(n_lumbar: int) -> SagittalStack:
    """Imitate a network that knows: exact classes, painted at 1 mm and averaged to 2 mm, and exact heatmaps."""
    scene = scene_with(n_lumbar)
    chain = scene.chain
    fine = (2 * SHAPE[0], 2 * SHAPE[1])
    rows, cols = np.meshgrid(np.arange(fine[0]) / 2 - 0.25, np.arange(fine[1]) / 2 - 0.25, indexing="ij")
    points = np.stack([FRONT_MM + cols.ravel() * PIXEL_MM, TOP_MM - rows.ravel() * PIXEL_MM], 1).astype(np.float32)
    cut = Slice(scene, points)
    value, noise = np.ones(len(Tissue), np.float32), np.zeros((3, len(points)), np.float32)
    groups = (chain.lumbar, chain.lumbar[:1], np.array([chain.first_sacral]))
    probabilities, heatmaps = [], []
    for lateral in LATERAL_MM:
        away = np.full(len(points), lateral, np.float32)
        classes = paint(scene, cut, away, value, noise).classes.reshape(fine)
        probabilities.append(halved(classes == np.arange(5)[:, None, None]))
        heatmaps.append(halved(np.array([gaussians(points, away, chain.centre_mm[g]).reshape(fine) for g in groups])))
    return SagittalStack(
        np.array(probabilities, np.float32),
        np.array(heatmaps, np.float32),
        np.array([SLICE_MM, PIXEL_MM, PIXEL_MM]),
        AXES,
        np.array([LATERAL_MM[0], FRONT_MM, TOP_MM]),
        (0, SHAPE[0] - 1),
    )


def halved(fields: np.ndarray) -> np.ndarray:
    """Average blocks of two by two pixels of (C, H, W)."""
    return np.asarray(fields.reshape(len(fields), SHAPE[0], 2, SHAPE[1], 2).mean(axis=(2, 4)))


def cropped(stack: SagittalStack, first_row: int, last_row: int) -> SagittalStack:
    """Keep some rows only."""
    kept = slice(first_row, last_row + 1)
    return replace(
        stack,
        probabilities=stack.probabilities[:, :, kept],
        heatmaps=stack.heatmaps[:, :, kept],
        origin_mm=stack.origin_mm + AXES[:, 1] * first_row * PIXEL_MM,
        rows_in_view=(0, last_row - first_row),
    )


def exact_planes(scene: Scene, unit: int) -> tuple[Plane, Plane]:
    """Upper and lower end-plate of a unit, LPS: through the middle of the body's depth."""
    chain = scene.chain

    def plane(tilt: float, height: float) -> Plane:
        angle = chain.angle_rad[unit]
        back = chain.origin_mm[unit] + height * np.array([-np.sin(angle), np.cos(angle)])
        depth = (chain.depth_top_mm[unit] + chain.depth_bottom_mm[unit]) / 2
        point = back - depth / 2 * np.array([np.cos(tilt), np.sin(tilt)])
        return Plane(np.array([0.0, *point]), np.array([0.0, -np.sin(tilt), np.cos(tilt)]))

    half, wedge = chain.height_mm[unit] / 2, chain.wedge_rad[unit] / 2
    return plane(chain.angle_rad[unit] - wedge, half), plane(chain.angle_rad[unit] + wedge, -half)


def vertebrae(levels: tuple[LevelGeometry, ...]) -> list[LevelGeometry]:
    return [x for x in levels if x.level != "S1"]


@pytest.mark.parametrize("n_lumbar", [4, 5, 6])
def test_bodies_are_counted_upwards_from_the_sacrum(n_lumbar: int) -> None:
    scene, found = scene_with(n_lumbar), find_levels(perfect_stack(n_lumbar))
    assert found.numbering is LevelNumbering.COUNTED_FROM_SACRUM
    assert [x.level for x in found.levels[:6]] == ["S1", "L5", "L4", "L3", "L2", "L1"]
    first = scene.chain.first_sacral + 1
    for i, level in enumerate(vertebrae(found.levels)[:4]):
        truth = np.array([0.0, *scene.chain.centre_mm[first + i]])
        off = level.centre_mm - truth
        up = np.array([0.0, -np.sin(scene.chain.angle_rad[first + i]), np.cos(scene.chain.angle_rad[first + i])])
        # The centroid of a kidney lies behind the middle of its depth.
        assert abs(off @ up) < 1.0, level.level
        assert np.linalg.norm(off) < 4.0, level.level


def ambiguous(n_lumbar: int, share: float) -> SagittalStack:
    """Add a rival junction one level up: marked like the real one, but weaker."""
    chain, stack = scene_with(n_lumbar).chain, perfect_stack(n_lumbar)
    rows, cols = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    points = np.stack([FRONT_MM + cols.ravel() * PIXEL_MM, TOP_MM - rows.ravel() * PIXEL_MM], 1).astype(np.float32)
    heatmaps = stack.heatmaps.copy()
    for channel, unit in ((1, chain.lumbar[1]), (2, chain.lumbar[0])):
        for heat, lateral in zip(heatmaps[:, channel], LATERAL_MM, strict=True):
            away = np.full(len(points), lateral, np.float32)
            np.maximum(heat, share * gaussians(points, away, chain.centre_mm[[unit]]).reshape(SHAPE), out=heat)
    return replace(stack, heatmaps=heatmaps)


def test_a_second_possible_junction_raises_the_suspicion() -> None:
    certain = find_levels(perfect_stack(5))
    assert not certain.lstv_suspected
    doubtful = find_levels(ambiguous(5, 0.85))
    assert doubtful.lstv_suspected
    assert [x.level for x in doubtful.levels] == [x.level for x in certain.levels]
    assert doubtful.junction_evidence < certain.junction_evidence


def test_where_network_and_end_plates_disagree_numbering_is_refused() -> None:
    chain, stack = scene_with(5).chain, perfect_stack(5)
    # The network is half sure of a junction two levels too high, where no sacrum slopes, and blind to the real one.
    heatmaps = np.zeros_like(stack.heatmaps)
    heatmaps[:, 0] = stack.heatmaps[:, 0]
    probabilities = stack.probabilities.copy()
    probabilities[:, 0] += probabilities[:, 3]
    probabilities[:, 3] = 0
    rows, cols = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    points = np.stack([FRONT_MM + cols.ravel() * PIXEL_MM, TOP_MM - rows.ravel() * PIXEL_MM], 1).astype(np.float32)
    away = np.zeros(len(points), np.float32)
    for channel, unit in ((1, chain.lumbar[2]), (2, chain.lumbar[1])):
        heatmaps[:, channel] = 0.7 * gaussians(points, away, chain.centre_mm[[unit]]).reshape(SHAPE)
    found = find_levels(replace(stack, heatmaps=heatmaps, probabilities=probabilities))
    assert found.numbering is LevelNumbering.UNRESOLVED


def test_without_s1_nothing_is_numbered() -> None:
    scene, stack = scene_with(5), perfect_stack(5)
    last = scene.chain.first_sacral + 1
    row = int((TOP_MM - scene.chain.centre_mm[last][1]) / PIXEL_MM)
    blind = cropped(stack, 0, row)
    # A network that does not see S1 marks no last lumbar body either.
    blind = replace(blind, heatmaps=blind.heatmaps * np.array([1, 0, 0], np.float32)[None, :, None, None])
    found = find_levels(blind)
    assert found.numbering is LevelNumbering.UNRESOLVED
    assert len(found.levels) >= 4
    assert all(x.level is None and x.label is None for x in found.levels)


@pytest.mark.parametrize("seen_mm", [14.0, 45.0])
def test_part_of_s1_is_enough_where_the_network_knows_it(seen_mm: float) -> None:
    chain, stack = scene_with(5).chain, perfect_stack(5)
    first = chain.first_sacral
    # S1 leans forwards: of any row its posterior wall shows the most.
    down = np.array([np.sin(chain.angle_rad[first]), -np.cos(chain.angle_rad[first])])
    lowest = chain.origin_mm[first] + (seen_mm - chain.height_mm[first] / 2) * down
    found = find_levels(cropped(stack, 0, int((TOP_MM - lowest[1]) / PIXEL_MM)))
    assert [x.level for x in vertebrae(found.levels)[:5]] == ["L5", "L4", "L3", "L2", "L1"]


def test_one_piece_of_evidence_is_not_enough() -> None:
    stack = perfect_stack(5)
    heatmaps = stack.heatmaps.copy()
    heatmaps[:, 2] = 0
    probabilities = stack.probabilities.copy()
    probabilities[:, 0] += probabilities[:, 3]
    probabilities[:, 3] = 0
    found = find_levels(replace(stack, heatmaps=heatmaps, probabilities=probabilities))
    assert found.numbering is LevelNumbering.UNRESOLVED


def test_nothing_found_is_an_empty_answer() -> None:
    stack = perfect_stack(5)
    empty = np.zeros_like(stack.probabilities)
    empty[:, 0] = 1
    found = find_levels(replace(stack, probabilities=empty, heatmaps=0 * stack.heatmaps))
    assert found.levels == ()
    assert found.numbering is LevelNumbering.UNRESOLVED


def test_a_missing_body_leaves_its_name_free_and_costs_confidence() -> None:
    scene, stack = scene_with(5), perfect_stack(5)
    gone = scene.chain.first_sacral + 3  # the third lumbar body from below, L3
    row, col = TOP_MM - scene.chain.centre_mm[gone][1], scene.chain.centre_mm[gone][0] - FRONT_MM
    rows, cols = np.meshgrid(np.arange(SHAPE[0]) * PIXEL_MM, np.arange(SHAPE[1]) * PIXEL_MM, indexing="ij")
    hole = np.hypot(rows - row, cols - col) < 24
    probabilities = stack.probabilities.copy()
    probabilities[:, 1, hole] = 0
    found = find_levels(replace(stack, probabilities=probabilities))
    level = {x.level: x for x in found.levels}
    assert "L3" not in level
    assert level["L2"].confidence < 0.6 * level["L4"].confidence


@pytest.mark.parametrize("n_lumbar", [5, 6])
def test_end_plates_lie_within_a_millimetre_and_three_degrees(n_lumbar: int) -> None:
    scene, found = scene_with(n_lumbar), find_levels(perfect_stack(n_lumbar))
    first = scene.chain.first_sacral + 1
    for i, level in enumerate(vertebrae(found.levels)[:5]):
        for truth, plane in zip(exact_planes(scene, first + i), (level.superior, level.inferior), strict=True):
            assert plane is not None
            assert abs((plane.point_mm - truth.point_mm) @ truth.normal) < 1.0, level.level
            assert np.degrees(np.arccos(np.clip(plane.normal @ truth.normal, -1, 1))) < 3.0, level.level
            assert np.linalg.norm(plane.normal) == pytest.approx(1.0)


def test_discs_lie_between_their_end_plates() -> None:
    found = find_levels(perfect_stack(5))
    assert [d.level for d in found.discs[:3]] == ["L5_S1", "L4_L5", "L3_L4"]
    assert [d.label for d in found.discs[:3]] == [100, 95, 94]
    level = {x.level: x for x in found.levels}
    for disc in found.discs[1:4]:
        upper, lower = (level[name] for name in str(disc.level).split("_"))
        assert upper.inferior is not None
        assert lower.superior is not None
        assert (upper.inferior.point_mm - disc.mid.point_mm) @ disc.mid.normal > 0
        assert (lower.superior.point_mm - disc.mid.point_mm) @ disc.mid.normal < 0


def test_cross_section_is_that_of_the_painted_body() -> None:
    scene, found = scene_with(5), find_levels(perfect_stack(5))
    unit = scene.chain.first_sacral + 3
    level = {x.level: x for x in found.levels}["L3"]
    depth = (scene.chain.depth_top_mm[unit] + scene.chain.depth_bottom_mm[unit]) / 2
    box = depth * min(2 * scene.chain.half_width_mm[unit], np.ptp(LATERAL_MM) + SLICE_MM)
    assert level.body_area_mm2 is not None
    # A kidney fills three quarters to all of its box.
    assert 0.7 * box < level.body_area_mm2 < box


@pytest.mark.parametrize("keep", [slice(4, 7), slice(3, 8, 2)])
def test_few_or_distant_slices_are_enough(keep: slice) -> None:
    stack = perfect_stack(5)
    step = keep.step or 1
    thin = replace(
        stack,
        probabilities=stack.probabilities[keep],
        heatmaps=stack.heatmaps[keep],
        spacing_mm=stack.spacing_mm * np.array([step, 1, 1]),
        origin_mm=stack.origin_mm + AXES[:, 0] * SLICE_MM * keep.start,
    )
    found, whole = find_levels(thin), find_levels(stack)
    truth = {x.level: x.centre_mm for x in whole.levels}
    for level in found.levels[1:6]:
        assert np.linalg.norm(level.centre_mm - truth[level.level]) < 3.0
