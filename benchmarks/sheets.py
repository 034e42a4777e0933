"""Draw what the models are taught: contact sheets of synthetic pictures, every second row with outlines.

.venv/bin/python benchmarks/sheets.py                       writes benchmarks/synthetic_{muscles,spine}.png
.venv/bin/python benchmarks/sheets.py --beside-real FOLDER  writes both into FOLDER, with slices of the real test
                                                            images below; these are private and stay out of here
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from paraspinal.core.imaging.images import read_image
from paraspinal.core.imaging.slice_grid import AXIAL_FRAME, SAGITTAL_FRAME, slice_grid
from paraspinal.models.synthesis.muscles.task import SAMPLE_SHAPE, MuscleTask
from paraspinal.models.synthesis.spine.task import SpineTask
from paraspinal.models.synthesis.spine.view import SHAPE
from paraspinal.models.training.recipes import build_task, data_folder

HERE = Path(__file__).parent
ROWS, COLUMNS, SEED = 6, 8, 9_2000
OUTLINE = (255, 80, 60)
REAL = {
    "muscles": ("dixon_lumbar/*_[fw]at*.nii.gz", "abdomen_unlabelled/1[012]_*_img.nii.gz"),
    "spine": ("vertebrae/VB*_img.nii.gz", "spine_t2_sagittal/*.nii.gz"),
}
PLACES = {"muscles": (AXIAL_FRAME, SAMPLE_SHAPE), "spine": (SAGITTAL_FRAME, SHAPE)}


def main() -> None:
    """Draw both sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside-real", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    for name in PLACES:
        rows = synthetic(name)
        if arguments.beside_real:
            rows += real(name)
        folder = arguments.beside_real or HERE
        Image.fromarray(np.concatenate(rows)).quantize(64).save(folder / f"synthetic_{name}.png", optimize=True)


def synthetic(name: str) -> list[np.ndarray]:
    """Rows of pictures as the network sees them before normalisation, or of the first channel of the spine's."""
    task = build_task(name)
    rows = []
    for row in range(ROWS // 2):
        pictures = [picture(task, np.random.default_rng([SEED, row, i])) for i in range(COLUMNS)]
        rows.append(np.concatenate([grey(image) for image, _ in pictures], axis=1))
        rows.append(np.concatenate([outlined(grey(image), labels) for image, labels in pictures], axis=1))
    return rows


def picture(task: MuscleTask | SpineTask, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One image (H, W) and its classes."""
    if isinstance(task, MuscleTask):
        return task.picture(rng)
    inputs, classes, _ = task.sample(rng)
    return inputs[0], classes


def real(name: str) -> list[np.ndarray]:
    """Two rows of slices of real images, from the middle of each."""
    found = [grey(image) for image in islice(real_slices(name), 2 * COLUMNS)]
    found += [np.zeros_like(found[0])] * (2 * COLUMNS - len(found))
    return [np.concatenate(found[:COLUMNS], axis=1), np.concatenate(found[COLUMNS:], axis=1)]


def real_slices(name: str) -> Iterator[np.ndarray]:
    """The middle slice of every real image at the network's pixel size, cut or filled to the size of a sample."""
    data = data_folder()
    if data is None:
        raise SystemExit("the real images are needed: set PARASPINAL_DATA")
    frame, shape = PLACES[name]
    for path in sorted(path for pattern in REAL[name] for path in (data / "nifti").glob(pattern)):
        image = read_image(path)
        slices = slice_grid(image, frame).to_slices(image)
        yield fitted(slices[len(slices) // 2], shape)


def fitted(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Cut or fill around the middle."""
    lack = [max(0, n - m) for n, m in zip(shape, image.shape, strict=True)]
    filled = np.pad(image, [(n // 2, n - n // 2) for n in lack])
    top, left = ((m - n) // 2 for m, n in zip(filled.shape, shape, strict=True))
    return filled[top : top + shape[0], left : left + shape[1]]


def grey(image: np.ndarray) -> np.ndarray:
    """Turn a magnitude image into 8-bit grey as RGB."""
    scaled = np.clip(image / max(float(np.percentile(image, 99.5)), 1e-6), 0, 1)
    return np.repeat((255 * scaled).astype(np.uint8)[..., None], 3, axis=2)


def outlined(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw where labels change."""
    edge = np.zeros(labels.shape, dtype=bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    image = image.copy()
    image[edge] = OUTLINE
    return image


if __name__ == "__main__":
    main()
