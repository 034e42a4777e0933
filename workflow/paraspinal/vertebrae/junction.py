"""Decide which body is the last one above the sacrum, by joint likelihood of everything that tells.

Every way to lay the known order S2, S1, L5, L4, ... along the bodies found is a hypothesis: the lowest one may be L5,
or S1 that the network took for a body, or L4 and higher where the image ends above the junction. Two independent
witnesses speak: the network (heatmaps of the last lumbar body and of S1, sacrum below) and the lie of the end-plates,
for the sacrum slopes and every level above it less so. The winner's posterior probability is the confidence of the
numbering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paraspinal.vertebrae.answer import Heatmap, SpineClass
from paraspinal.vertebrae.bodies import Body, central_slices, offsets_from
from paraspinal.vertebrae.stack import Floats, SagittalStack

UNITS_UPWARDS = ("S2", "S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10")
LAST = UNITS_UPWARDS.index("L5")

TILT_DEG = np.array(
    [
        (38.5, 36.5), (38.0, 35.0), (22.0, 15.0), (6.0, 4.0), (-3.0, -4.0),
        (-9.0, -8.0), (-12.0, -10.0), (-11.5, -8.5), (-8.5, -5.5), (-5.0, -2.0),
    ]
)  # fmt: skip
"""Mean tilt of the lower and upper end-plate of `UNITS_UPWARDS`, supine adults; positive where the front is lower."""

LEAN_SD_DEG, LORDOSIS_SD, TILT_SD_DEG = 6.0, 0.35, 5.0
"""Spread of posture (all tilts alike), of curvature (all tilts in proportion) and of a single end-plate with its
measurement error. With these the covariance of the drawn chains of vertebrae is reproduced within a degree."""

NETWORK_WEIGHTS = np.array([-6.0, 6.0, 4.0, 2.0])
"""Log-odds that a body is the last lumbar one: constant, its own heat, that of S1 below it, sacrum below it."""

GEOMETRY_WEIGHT = 0.7
"""Share of the end-plates' log-likelihood that counts: their errors are not as independent as the model has them."""

OUTLIER_LOG_DENSITY, OUTLIER_LOG_PRIOR, MAX_OUTLIERS = float(np.log(1 / 90)), float(np.log(0.03)), 2
"""A body in thirty is none or badly measured, its tilts spread over ninety degrees; no more than two are."""

BODY_BELOW_LOG_ODDS = float(np.log(0.06))
"""How rarely the network takes S1 for a vertebral body: of 88 synthetic volumes that show S1, four times."""

PRIOR_ABOVE = 0.5
"""Prior odds of each hypothesis whose junction lies below the image, against those that show it."""

SACRUM_SEARCH_MM = (14.0, 52.0)
"""Where the middle of S1 lies as seen from the last lumbar centre."""

SACRUM_SEEN_MM3 = 3000.0
"""Volume of sacrum beside the last lumbar body that counts as certainly seen."""

SACRUM_EVIDENCE = 0.25
"""Heat of S1, or share of the sacrum's volume, that counts as having seen the sacrum."""


@dataclass(frozen=True)
class Junction:
    """The most likely numbering: index of the last lumbar body, or None where it is not among the bodies.

    ``probability`` of this numbering, ``rival`` of the next best one that also shows the junction; ``likeness`` of the
    most similar other body to the last lumbar one in the network's eyes, 1 being the same; ``is_sacrum_seen`` tells
    whether there is direct evidence of the sacrum and not of the bodies alone.
    """

    last: int | None
    probability: float
    rival: float
    likeness: float
    is_sacrum_seen: bool


def find_junction(stack: SagittalStack, bodies: Sequence[Body], tilts_deg: Floats) -> Junction:
    """Weigh all hypotheses for bodies sorted from caudal to cranial.

    ``tilts_deg`` (n, 2): tilt of the lower and upper end-plate of every body, NaN where there is none.
    """
    evidence = np.array([network_evidence(stack, body) for body in bodies])
    log_odds = NETWORK_WEIGHTS[0] + evidence @ NETWORK_WEIGHTS[1:]
    lowest = np.arange(len(UNITS_UPWARDS) - 1)
    score = np.array([GEOMETRY_WEIGHT * tilt_log_likelihood(tilts_deg, int(unit)) for unit in lowest])
    last = LAST - lowest
    shows = (last >= 0) & (last < len(bodies))
    score[shows] += log_odds[last[shows]] + BODY_BELOW_LOG_ODDS * (last[shows] > 0)
    score[last < 0] += np.log(PRIOR_ABOVE)
    score[last >= len(bodies)] = -np.inf  # nothing but sacrum: no lumbar body to number
    posterior = np.exp(score - score.max())
    posterior /= posterior.sum()
    best = int(posterior.argmax())
    if not shows[best]:
        return Junction(None, float(posterior[best]), float(posterior[shows].max(initial=0.0)), 0.0, False)
    rivals = np.where(shows, posterior, 0.0)
    rivals[best] = 0.0
    index = int(last[best])
    means = evidence.mean(axis=1)
    likeness = float(np.delete(means, index).max(initial=0.0) / max(means[index], 1e-6))
    is_sacrum_seen = bool(evidence[index, 1:].max() >= SACRUM_EVIDENCE)
    return Junction(index, float(posterior[best]), float(rivals.max()), likeness, is_sacrum_seen)


def network_evidence(stack: SagittalStack, body: Body) -> Floats:
    """Evidence (3,) in [0, 1] that this is the last body above S1: its own heatmap, that of S1, sacrum below."""
    own = heat_near(stack, Heatmap.LAST_LUMBAR, body.centre, 10.0)
    rows, cols, distance = offsets_from(stack, body)
    ring = (rows > 6) & (cols > -25) & (distance > SACRUM_SEARCH_MM[0]) & (distance < SACRUM_SEARCH_MM[1])
    slices = central_slices(stack, body.centre, 6.5)
    s1 = float((stack.heatmaps[slices, Heatmap.S1].mean(axis=0) * ring).max())
    is_sacrum = stack.probabilities[slices].argmax(axis=1) == SpineClass.SACRUM
    near = ring & (distance < SACRUM_SEARCH_MM[1] - 10)
    thickness = max(13.0, len(slices) * stack.spacing_mm[0])
    area = float((is_sacrum.mean(axis=0) * near).sum()) * stack.spacing_mm[1] * stack.spacing_mm[2]
    return np.array([own, s1, min(1.0, area * thickness / SACRUM_SEEN_MM3)])


def heat_near(stack: SagittalStack, which: int, centre: Floats, radius_mm: float) -> float:
    """Return the highest value of a heatmap near a point, averaged over the nearest slices."""
    slices = central_slices(stack, centre, 4.5)
    composite = stack.heatmaps[slices, which].mean(axis=0)
    rows = np.arange(composite.shape[0])[:, None] * stack.spacing_mm[1] - centre[1]
    cols = np.arange(composite.shape[1])[None] * stack.spacing_mm[2] - centre[2]
    return float(np.where(np.hypot(rows, cols) <= radius_mm, composite, 0.0).max())


def tilt_log_likelihood(tilts_deg: Floats, lowest: int) -> float:
    """Log-likelihood of tilts (n, 2), NaN where unknown, if the lowest body is unit ``lowest`` of `UNITS_UPWARDS`.

    A normal distribution around `TILT_DEG` with shared posture, shared curvature and independent errors, but a body may
    be none or badly measured: bodies whose tilts are likelier to be anything at all are left out, one after the other.
    Bodies above the table count as such ones without blame.
    """
    known = np.isfinite(tilts_deg)
    used = np.zeros(known.shape, bool)
    used[: len(UNITS_UPWARDS) - lowest] = known[: len(UNITS_UPWARDS) - lowest]
    mean = np.zeros(known.shape)
    count = min(len(mean), len(UNITS_UPWARDS) - lowest)
    mean[:count] = TILT_DEG[lowest : lowest + count]
    beyond = (known & ~used).sum() * OUTLIER_LOG_DENSITY
    best = _normal_log_density(tilts_deg[used], mean[used])
    blame = 0.0
    for _ in range(MAX_OUTLIERS):
        trials = []
        for body in np.nonzero(used.any(axis=1))[0]:
            kept = used.copy()
            kept[body] = False
            dropped = (known.sum() - (known & ~used).sum() - kept.sum()) * OUTLIER_LOG_DENSITY + OUTLIER_LOG_PRIOR
            trials.append((_normal_log_density(tilts_deg[kept], mean[kept]) + blame + dropped, dropped, int(body)))
        if not trials or max(trials)[0] <= best:
            break
        best, dropped, worst = max(trials)
        used[worst] = False
        blame += dropped
    return float(best + beyond)


def _normal_log_density(tilts_deg: Floats, mean: Floats) -> float:
    if len(mean) == 0:
        return 0.0
    off = tilts_deg - mean
    covariance = LEAN_SD_DEG**2 + LORDOSIS_SD**2 * np.outer(mean, mean) + TILT_SD_DEG**2 * np.eye(len(mean))
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    return -0.5 * float(off @ np.linalg.solve(covariance, off)) - 0.5 * float(log_det)
