"""Intramuscular fat: a streaky field whose mean in every muscle is the wanted fraction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from paraspinal.phantom.parameters import AnatomyParameters, phantom_labels
from paraspinal.phantom.shapes import Floats, noise

STREAK_CONTRAST = 1.5
"""Logit units per standard deviation of the streak noise: a few fat-rich streaks in lean muscle."""

_BEND_FRAC = 0.4
"""How far the patches bend the streaks, in wavelengths."""

_BISECTIONS = 30
_LOGIT_LIMIT = 14.0


def _sigmoid(value: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-value)), dtype=np.float32)


class FatField:
    """The fat fraction inside the muscles, calibrated on points spread evenly through them."""

    def __init__(self, p: AnatomyParameters, samples: Callable[[], tuple[Floats, np.ndarray]]) -> None:
        """Calibrate; `samples()` gives points (n, 3) in LPS mm and their labels (n,)."""
        rng = np.random.default_rng([p.seed, 41])
        self._wavelength_mm = wavelength = p.streak_mm
        # Streaks follow the fibres, which run nearly along z.
        self._streaks = noise(rng, (wavelength, wavelength, 8 * wavelength), 16, spread=(0.35, 2.0))
        self._patches = noise(rng, (4 * wavelength, 4 * wavelength, 9 * wavelength), 6)
        self._caudal_per_mm = p.caudal_fat_gain / 100.0
        points, label = samples()
        score = self._score(points)
        self._offset: dict[int, np.float32] = {}
        for (muscle, side), code in phantom_labels().items():
            own = score[label == code]
            self._offset[code] = np.float32(self._solve(own, p.intramuscular_fat_frac[muscle, side]))

    def __call__(self, points: Floats, label: np.ndarray) -> Floats:
        """Return the fraction at points (..., 3) with labels (...); 0 outside the muscles."""
        result = np.zeros(label.shape, dtype=np.float32)
        inside = np.isin(label, list(self._offset))
        if inside.any():
            codes, inverse = np.unique(label[inside], return_inverse=True)
            offsets = np.array([self._offset[int(code)] for code in codes], dtype=np.float32)
            result[inside] = _sigmoid(self._score(points[inside]) + offsets[inverse])
        return result

    def _score(self, points: Floats) -> Floats:
        x, y, z = (np.ascontiguousarray(points[:, k]) for k in range(3))
        patches = self._patches(x, y, z)
        # Shifting the streaks by the patches bends them, so that they do not form a lattice.
        bend = np.float32(_BEND_FRAC * self._wavelength_mm) * patches
        waves = STREAK_CONTRAST * (0.85 * self._streaks(x + bend, y - 0.7 * bend, z) + 0.5 * patches)
        return np.asarray(waves - np.float32(self._caudal_per_mm) * z, dtype=np.float32)

    @staticmethod
    def _solve(score: Floats, wanted: float) -> float:
        """Find the offset at which the mean fraction is the wanted one (bisection; the mean rises with it)."""
        if wanted <= 0 or score.size == 0:
            return -_LOGIT_LIMIT
        low, high = -_LOGIT_LIMIT, _LOGIT_LIMIT
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if float(_sigmoid(score + np.float32(middle)).mean()) < wanted else (low, middle)
        return (low + high) / 2
