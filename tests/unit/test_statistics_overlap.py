"""Agreement of masks against surface-distance, MONAI and analytic truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal.statistics.overlap import assd_mm, dice, hd95_mm, nsd, surfaces

GOLDEN = json.loads((Path(__file__).parent / "golden" / "agreement.json").read_text())["masks"]


def masks(case: dict[str, Any]) -> list[np.ndarray]:
    """The two ellipsoids of a golden case."""
    axes = [np.arange(n) * d for n, d in zip(case["shape"], case["spacing_mm"], strict=True)]
    grid = np.meshgrid(*(a - a.mean() for a in axes), indexing="ij")
    return [
        sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radius, strict=True)) < 1.0
        for centre, radius in case["ellipsoids"]
    ]


def cube(start: int, size: int = 10, n: int = 30) -> np.ndarray:
    mask = np.zeros((n, n, n), dtype=bool)
    mask[5 : 5 + size, 5 : 5 + size, start : start + size] = True
    return mask


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: "x".join(map(str, c["spacing_mm"])))
def test_equals_surface_distance(case: dict[str, Any]) -> None:
    a, b = masks(case)
    found = surfaces(a, b, tuple(case["spacing_mm"]))
    assert dice(a, b) == pytest.approx(case["dsc"], rel=1e-12)
    assert hd95_mm(found) == pytest.approx(case["hd95_mm"], rel=1e-9)
    assert assd_mm(found) == pytest.approx(case["assd_mm"], rel=1e-9)
    assert nsd(found, 1.0) == pytest.approx(case["nsd_1mm"], rel=1e-9)
    assert nsd(found, 2.0) == pytest.approx(case["nsd_2mm"], rel=1e-9)
    areas = [found.reference_area_mm2.sum(), found.prediction_area_mm2.sum()]
    assert areas == pytest.approx(case["area_mm2"], rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: "x".join(map(str, c["spacing_mm"])))
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_surface_dice_equals_monai(case: dict[str, Any]) -> None:
    """MONAI computes the same where it is told to work between voxels."""
    import torch
    from monai.metrics import compute_surface_dice

    a, b = masks(case)
    tensors = [torch.from_numpy(np.stack([~m, m])[None]) for m in (b, a)]
    theirs = compute_surface_dice(*tensors, class_thresholds=[1.0], spacing=case["spacing_mm"], use_subvoxels=True)
    assert nsd(surfaces(a, b, tuple(case["spacing_mm"])), 1.0) == pytest.approx(float(theirs), abs=1e-6)


def test_a_mask_with_itself() -> None:
    found = surfaces(cube(5), cube(5), (1.0, 1.0, 1.0))
    assert (dice(cube(5), cube(5)), hd95_mm(found), assd_mm(found), nsd(found, 1.0)) == (1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (4.4, 0.7, 0.7), (1.0, 1.0, 3.0)])
def test_a_shifted_cube(spacing: tuple[float, float, float]) -> None:
    """Moved by two voxels along x: the two end faces, and nothing else, are two voxels away."""
    found = surfaces(cube(5), cube(7), spacing)
    assert dice(cube(5), cube(7)) == pytest.approx(0.8)
    assert found.to_prediction_mm.max() == pytest.approx(2 * spacing[2])
    share = nsd(found, 1.9 * spacing[2])
    assert share < 1.0
    assert nsd(found, 2.0 * spacing[2] + 1e-9) == 1.0


def test_area_of_a_slab_is_its_faces() -> None:
    mask = np.zeros((3, 60, 60), dtype=bool)
    mask[1, 5:55, 5:55] = True
    found = surfaces(mask, mask, (4.0, 1.0, 1.0))
    faces = 2 * 50 * 50 + 4 * 50 * 4
    assert found.reference_area_mm2.sum() == pytest.approx(faces, rel=0.06)  # marching cubes cut the edges


def test_spacing_matters() -> None:
    a, b = cube(5), np.roll(cube(5), 1, axis=0)
    assert hd95_mm(surfaces(a, b, (4.4, 0.7, 0.7))) == pytest.approx(4.4)
    assert hd95_mm(surfaces(a, b, (1.0, 1.0, 1.0))) == pytest.approx(1.0)


def test_masks_at_the_border_of_the_image() -> None:
    a = np.zeros((4, 5, 6), dtype=bool)
    a[:, :, :3] = True
    b = np.ones((4, 5, 6), dtype=bool)
    found = surfaces(a, b, (1.0, 1.0, 1.0))
    assert found.to_reference_mm.max() == 3.0


def test_two_empty_masks_have_no_overlap() -> None:
    empty = np.zeros((3, 3, 3), dtype=bool)
    assert dice(empty, empty) is None
    assert dice(empty, ~empty) == 0.0


def test_slices_keep_the_surface_and_get_no_cut_faces() -> None:
    mask = np.zeros((9, 20, 20), dtype=bool)
    mask[:, 5:15, 5:15] = True
    found = surfaces(mask, np.roll(mask, 1, axis=2), (1.0, 1.0, 1.0))
    middle = found.within(3, 5)
    assert set(middle.reference_plane) == {3, 4, 5, 6}
    assert middle.reference_area_mm2.sum() == pytest.approx(4 * 40.0, rel=0.06)
    assert found.within(0, 8).reference_area_mm2.sum() == found.reference_area_mm2.sum()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.floats(0.4, 5.0)] * 3))
def test_order_and_axes_do_not_matter(seed: int, spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.random((6, 7, 8)) < p for p in (0.3, 0.5))
    found, swapped = surfaces(a, b, spacing), surfaces(b, a, spacing)
    turned = surfaces(a.transpose(2, 0, 1), b.transpose(2, 0, 1), (spacing[2], spacing[0], spacing[1]))
    for measure in (hd95_mm, assd_mm, lambda s: nsd(s, 1.0)):
        assert measure(swapped) == pytest.approx(measure(found))
        assert measure(turned) == pytest.approx(measure(found))
    assert hd95_mm(found) <= max(found.to_prediction_mm.max(), found.to_reference_mm.max())
    assert 0.0 <= nsd(found, 1.0) <= nsd(found, 2.0) <= 1.0
