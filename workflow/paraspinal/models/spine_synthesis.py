"""Synthetic sagittal lumbar images of any contrast, with exact classes and centre heatmaps: the spine task.

Rows run caudally and columns posteriorly, 2 mm each: the picture a radiologist sees. No real image is involved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.models.spine_anatomy import Region
from paraspinal.models.spine_painter import Field, Scene, Slice, SpineClass, Tissue, heatmap, paint, sample_scene
from paraspinal.models.task import Sample

PIXEL_MM = 2.0
"""Grid of the network; a body is 12 to 17 pixels, a disc 3 to 6."""

SHAPE = (160, 112)
"""Rows and columns of a sample: 320 x 224 mm."""

HEATMAP_NAMES = ("lumbar", "last_lumbar", "s1")
"""Centres of all lumbar bodies, of the last one above the sacrum, and of S1."""

LOCAL_SIGMA_PX = 7.0
"""Neighbourhood of the local z-score, 14 mm: about half a body."""

T = Tissue
CONTRASTS: dict[str, dict[Tissue, tuple[float, float]]] = {
    "t1": {T.FAT: (.8, 1), T.VISCERAL: (.5, .95), T.MUSCLE: (.22, .42), T.MARROW: (.35, .75), T.ANNULUS: (.18, .4),
           T.NUCLEUS: (.22, .45), T.CSF: (.06, .25), T.CORD: (.25, .45), T.CAUDA: (.2, .4), T.EPIDURAL_FAT: (.7, 1),
           T.LIGAMENT: (.1, .4), T.VESSEL: (.05, .6), T.ORGAN: (.3, .6), T.BOWEL: (.15, .5), T.NERVE: (.2, .4),
           T.FLUID: (.05, .25)},
    "t2": {T.FAT: (.55, .95), T.VISCERAL: (.35, .8), T.MUSCLE: (.08, .25), T.MARROW: (.22, .6), T.ANNULUS: (.05, .2),
           T.NUCLEUS: (.15, .9), T.CSF: (.75, 1.1), T.CORD: (.25, .5), T.CAUDA: (.2, .5), T.EPIDURAL_FAT: (.5, .9),
           T.LIGAMENT: (.05, .35), T.VESSEL: (.02, .3), T.ORGAN: (.15, .45), T.BOWEL: (.1, .6), T.NERVE: (.2, .4),
           T.FLUID: (.7, 1.1)},
    "stir": {T.FAT: (.03, .2), T.VISCERAL: (.05, .25), T.MUSCLE: (.15, .35), T.MARROW: (.1, .4), T.ANNULUS: (.05, .25),
             T.NUCLEUS: (.2, .9), T.CSF: (.8, 1.1), T.CORD: (.3, .5), T.CAUDA: (.25, .5), T.EPIDURAL_FAT: (.03, .2),
             T.LIGAMENT: (.05, .3), T.VESSEL: (.05, .8), T.ORGAN: (.2, .5), T.BOWEL: (.15, .7), T.NERVE: (.3, .6),
             T.FLUID: (.7, 1.1)},
    "water": {T.FAT: (.02, .15), T.VISCERAL: (.04, .25), T.MUSCLE: (.35, .65), T.MARROW: (.2, .55), T.ANNULUS: (.2, .6),
              T.NUCLEUS: (.4, .95), T.CSF: (.2, 1), T.CORD: (.4, .7), T.CAUDA: (.4, .7), T.EPIDURAL_FAT: (.02, .2),
              T.LIGAMENT: (.1, .5), T.VESSEL: (.1, 1), T.ORGAN: (.4, .8), T.BOWEL: (.2, .7), T.NERVE: (.4, .7),
              T.FLUID: (.2, 1)},
    "fat": {T.FAT: (.8, 1), T.VISCERAL: (.6, .95), T.MUSCLE: (.02, .15), T.MARROW: (.25, .65), T.ANNULUS: (.01, .1),
            T.NUCLEUS: (.01, .1), T.CSF: (.01, .1), T.CORD: (.01, .1), T.CAUDA: (.02, .2), T.EPIDURAL_FAT: (.6, 1),
            T.LIGAMENT: (.02, .3), T.VESSEL: (.01, .1), T.ORGAN: (.02, .15), T.BOWEL: (.02, .3), T.NERVE: (.02, .2),
            T.FLUID: (.01, .08)},
    "opposed": {T.FAT: (.6, .95), T.VISCERAL: (.4, .8), T.MUSCLE: (.35, .6), T.MARROW: (.08, .4), T.ANNULUS: (.25, .5),
                T.NUCLEUS: (.3, .6), T.CSF: (.1, .8), T.CORD: (.35, .55), T.CAUDA: (.25, .5), T.EPIDURAL_FAT: (.4, .8),
                T.LIGAMENT: (.1, .4), T.VESSEL: (.1, .9), T.ORGAN: (.3, .6), T.BOWEL: (.2, .6), T.NERVE: (.2, .5),
                T.FLUID: (.1, .8)},
    "gradient": {T.FAT: (.25, .9), T.VISCERAL: (.2, .7), T.MUSCLE: (.3, .55), T.MARROW: (.15, .45), T.ANNULUS: (.35, .7),
                 T.NUCLEUS: (.5, .95), T.CSF: (.5, 1.1), T.CORD: (.4, .7), T.CAUDA: (.5, .9), T.EPIDURAL_FAT: (.2, .8),
                 T.LIGAMENT: (.15, .5), T.VESSEL: (.2, 1.1), T.ORGAN: (.3, .6), T.BOWEL: (.1, .6), T.NERVE: (.35, .6),
                 T.FLUID: (.4, 1)},
}
"""Intensity range of each tissue per contrast family; `random` draws every tissue from the whole range."""

CONTRAST_WEIGHTS = {"t1": .17, "t2": .26, "stir": .1, "water": .1, "fat": .06, "opposed": .06, "gradient": .12,
                    "random": .13}


@dataclass(frozen=True)
class SpineTask:
    """Sagittal spine: classes of `SpineClass`, heatmaps of `HEATMAP_NAMES`, the two channels of `channels`."""

    name: str = "spine"
    n_inputs: int = 2
    class_names: tuple[str, ...] = tuple(c.name.lower() for c in SpineClass)
    heatmap_names: tuple[str, ...] = HEATMAP_NAMES

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw one sample: inputs (2, 160, 112), classes (160, 112), heatmaps (3, 160, 112)."""
        scene = sample_scene(rng)
        points, view = _place(rng, scene)
        cut = Slice(scene, points)
        lateral = _lateral(rng, cut)
        noise = np.stack([_smooth_noise(rng, cell).ravel() for cell in (3, 8, 30)])
        value = _intensities(rng)
        thickness = rng.uniform(0, 5)
        canvas = paint(scene, cut, lateral, value, noise)
        image = canvas.image
        if thickness > 2.5:  # thick slices average what lies across them
            other = paint(scene, cut, lateral + np.float32(rng.choice([-0.5, 0.5]) * thickness), value, noise)
            image = 0.5 * (image + other.image)
        classes = np.where(view, canvas.classes.reshape(SHAPE), 0)
        heatmaps = _heatmaps(scene, cut, lateral, view)
        picture = _degrade(rng, image.reshape(SHAPE), cut.v.reshape(SHAPE), view)
        return channels(picture), classes.astype(np.int64), heatmaps


def channels(picture: Field) -> Field:
    """Turn a slice (H, W) of arbitrary scale into the network's two channels (2, H, W).

    Intensity over the 97th percentile of the foreground, and the local z-score; zero pixels are padding.
    """
    inside = picture > 0
    if not inside.any():
        return np.zeros((2, *picture.shape), np.float32)
    level = picture[inside]
    foreground = level[level > 0.1 * level.mean()]
    scaled = np.clip(picture / np.percentile(foreground, 97), 0, 2).astype(np.float32)
    weight = _blur(inside.astype(np.float32), LOCAL_SIGMA_PX) + 1e-6
    mean = _blur(scaled, LOCAL_SIGMA_PX) / weight
    variance = _blur(scaled**2, LOCAL_SIGMA_PX) / weight - mean**2
    local = (scaled - mean) / np.sqrt(np.maximum(variance, 0) + 0.02**2)
    return np.stack([scaled, np.clip(local, -3, 3) * inside / 2]).astype(np.float32)


def _blur(picture: Field, sigma: float) -> Field:
    blurred: Field = ndimage.gaussian_filter(picture, sigma, truncate=2.5, mode="constant")
    return blurred


def _smooth_noise(rng: np.random.Generator, cell_px: int) -> Field:
    """Return a field of about unit variance whose grains are `cell_px` pixels wide."""
    rows, cols = (n // cell_px + 3 for n in SHAPE)
    coarse = rng.standard_normal((rows, cols)).astype(np.float32)
    y = (np.arange(SHAPE[0]) + rng.uniform(0, cell_px)) / cell_px
    x = (np.arange(SHAPE[1]) + rng.uniform(0, cell_px)) / cell_px
    field = _mix(_mix(coarse, y, 0), x, 1)
    return field / np.float32(field.std() + 1e-6)


def _mix(field: Field, where: NDArray[np.float64], axis: int) -> Field:
    base = where.astype(int)
    share = (where - base).astype(np.float32)
    share = share[:, None] if axis == 0 else share[None]
    mixed: Field = np.take(field, base, axis) * (1 - share) + np.take(field, base + 1, axis) * share
    return mixed


def _place(rng: np.random.Generator, scene: Scene) -> tuple[Field, NDArray[np.bool_]]:
    """Place the pixel grid: (N, 2) points (y, z) in mm and the field of view (H, W)."""
    chain = scene.chain
    s1 = chain.centre_mm[chain.first_sacral]
    top_of_s1 = s1[1] + 16
    where = rng.random()
    if where < 0.1:  # S1 out of view
        floor = top_of_s1 + rng.uniform(4, 80)
    elif where < 0.4:  # just within the view
        floor = top_of_s1 - rng.uniform(8, 55)
    else:
        floor = top_of_s1 - rng.uniform(55, 190)
    tall = min(int(rng.uniform(90, SHAPE[0] + 40)), SHAPE[0])
    wide = min(int(rng.uniform(70, SHAPE[1] + 50)), SHAPE[1])
    first_row = int(rng.integers(0, SHAPE[0] - tall + 1))
    first_col = int(rng.integers(0, SHAPE[1] - wide + 1))
    view = np.zeros(SHAPE, bool)
    view[first_row : first_row + tall, first_col : first_col + wide] = True
    rows, cols = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    scale = PIXEL_MM * rng.uniform(0.92, 1.15, 2)
    z = (first_row + tall - 1 - rows) * scale[0]
    y = (cols - first_col - wide * rng.uniform(0.3, 0.72)) * scale[1]
    angle = rng.normal(0, np.radians(5))
    turned_y, turned_z = y * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - y * np.sin(angle)
    warp = rng.uniform(0, 2.0)
    turned_y = turned_y + warp * _smooth_noise(rng, 20) + rng.normal(0, 6)
    turned_z = turned_z + warp * _smooth_noise(rng, 20) + floor
    return np.stack([turned_y.ravel(), turned_z.ravel()], axis=1).astype(np.float32), view


def _lateral(rng: np.random.Generator, cut: Slice) -> Field:
    """Lateral position of every pixel; slices are often oblique to the column."""
    offset = rng.normal(0, 7) if rng.random() < 0.6 else rng.uniform(-42, 42)
    along, across = rng.normal(0, 0.03), rng.normal(0, 0.03)
    return (offset + along * cut.z + across * cut.y).astype(np.float32)


def _intensities(rng: np.random.Generator) -> Field:
    name = str(rng.choice(list(CONTRAST_WEIGHTS), p=list(CONTRAST_WEIGHTS.values())))
    value = np.zeros(len(Tissue), np.float32)
    for tissue in Tissue:
        low, high = CONTRASTS[name].get(tissue, (0.02, 0.3)) if name in CONTRASTS else (0.03, 1.0)
        value[tissue] = rng.uniform(low, high)
    value[T.AIR] = 0.0
    value[T.CORTEX] = rng.uniform(0.0, 0.6) * value[T.MARROW]
    value[T.SKIN] = rng.uniform(0.5, 1.2) * value[T.FAT]
    value[T.SACRAL_MARROW] = value[T.MARROW] * rng.uniform(0.9, 1.12)
    value[T.POSTERIOR_BONE] = value[T.MARROW] * rng.uniform(0.8, 1.25)
    if name == "random" and abs(value[T.MARROW] - value[T.ANNULUS]) < 0.08:
        # Some edge must exist between body and disc.
        value[T.ANNULUS] *= 0.5
        value[T.CORTEX] = 0.02
    return value


def _heatmaps(scene: Scene, cut: Slice, lateral: Field, view: NDArray[np.bool_]) -> Field:
    chain = scene.chain
    lumbar, first = chain.lumbar, chain.first_sacral
    sees_sacrum = bool((view.ravel() & (cut.unit() == first) & (cut.v < -5) & (cut.v > -25)).sum() > 12)
    groups = [lumbar, lumbar[:1] if sees_sacrum else lumbar[:0], np.array([first])]
    maps = np.stack([heatmap(scene, cut, lateral, g).reshape(SHAPE) for g in groups])
    return np.where(view, maps, np.float32(0)).astype(np.float32)


def _degrade(rng: np.random.Generator, picture: Field, depth_mm: Field, view: NDArray[np.bool_]) -> Field:
    """Apply what a scanner does: coil fall-off, saturation bands, blur, noise, ghosts, windowing, field of view."""
    rows, cols = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    picture = np.maximum(picture, 0)
    if rng.random() < 0.5:  # surface coil behind the back
        picture = picture * np.exp(np.clip(depth_mm - 40, -200, 40) / rng.uniform(40, 250)).astype(np.float32)
    field = rng.normal(0, 0.35) * rows + rng.normal(0, 0.5) * cols + rng.normal(0, 0.25) * rows**2
    field = field + 0.12 * rng.random() * _smooth_noise(rng, 40)
    picture = picture * np.exp(field).astype(np.float32)
    if rng.random() < 0.3:  # saturation band before the column
        edge = -rng.uniform(38, 75)
        dark = 1 / (1 + np.exp((depth_mm - edge) / rng.uniform(2, 7)))
        picture = picture * (1 - rng.uniform(0.4, 0.95) * dark).astype(np.float32)
    if rng.random() < 0.2:  # pulsation ghosts along the phase direction
        step = int(rng.integers(8, 40))
        picture = picture + rng.uniform(0.02, 0.1) * np.roll(picture, step, axis=int(rng.integers(0, 2)))
    sigma = rng.uniform(0, 0.7, 2)
    picture = ndimage.gaussian_filter(picture, sigma).astype(np.float32)
    reference = float(np.percentile(picture, 90)) + 1e-6
    noise = reference * rng.choice([0.01, 0.03, 0.07]) * rng.uniform(0.5, 1.5)
    grain = rng.standard_normal((2, *SHAPE)).astype(np.float32) * noise
    if rng.random() < 0.4:  # interpolated images carry smooth noise
        grain = ndimage.gaussian_filter(grain, (0, 0.7, 0.7)) * 1.6
    picture = np.hypot(picture + grain[0], grain[1])
    if rng.random() < 0.3:
        picture = reference * (picture / reference) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.15:  # fold the brightest down, as a windowed export does
        picture = np.minimum(picture, np.percentile(picture, rng.uniform(93, 99.5)))
    return np.where(view, np.maximum(picture, 1e-6), 0).astype(np.float32)


__all__ = ["CONTRASTS", "HEATMAP_NAMES", "PIXEL_MM", "SHAPE", "Region", "SpineClass", "SpineTask", "channels"]
