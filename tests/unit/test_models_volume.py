"""Images no network is given: each with its reason."""

from __future__ import annotations

import math

import pytest
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.models.input import volume
from paraspinal.models.input.volume import require_anatomy, require_possible


def noise(*size: int) -> sitk.Image:
    return sitk.AdditiveGaussianNoise(sitk.Image(list(size), sitk.sitkFloat32), 10.0, 100.0, 1)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (noise(20, 20), "TOO_FEW_SLICES"),
        (sitk.JoinSeries([noise(20, 20, 3), noise(20, 20, 3)]), "FOURD_UNEXPECTED"),
        (sitk.Compose(noise(20, 20, 3), noise(20, 20, 3)), "FOURD_UNEXPECTED"),
        (noise(40, 15, 15), "TOO_FEW_SLICES"),
        (noise(20, 20, 3) * 0.0, "CONSTANT_IMAGE"),
        (noise(20, 20, 3) / 0.0, "CONSTANT_IMAGE"),
        (noise(20, 20, 3) * math.nan, "CONSTANT_IMAGE"),
    ],
    ids=["2d", "4d", "vector", "thin", "zero", "infinite", "nan"],
)
def test_images_without_anatomy_have_a_reason(image: sitk.Image, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        require_anatomy(image)


def test_one_slice_is_an_image_and_an_enormous_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    require_anatomy(noise(20, 20, 1))
    monkeypatch.setattr(volume, "MAX_VOXELS", 1000)
    with pytest.raises(DataError, match="SEG_IMPLAUSIBLE: more than 0 million voxels"):
        require_possible(noise(11, 10, 10))
    require_possible(noise(10, 10, 10))
