"""Several echoes of one gradient echo: in- and opposed-phase pairs told by their times, longer trains set apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.vocab import DixonPart
from paraspinal.core.vocab import Sequence as Kind
from paraspinal.stages.ingest.kinds.sequence import Contrast
from paraspinal.stages.ingest.kinds.timing import T2STAR_TE_MS, phase_by_echo
from paraspinal.stages.ingest.reading.record import Values

ECHO_TIME, ECHO_TIME_AND_TEXT = 0.7, 0.85
"""Confidence in a part told by echo time and field, without and with a name that agrees."""
SAME_TR_FRAC = 0.01
"""Repetition times of one acquisition differ by less than this share."""
MANY_ECHOES = 3
"""From so many echoes on none of them is read alone: they are the source of a fit."""

_PHASES = (DixonPart.IN_PHASE, DixonPart.OPPOSED_PHASE)


@dataclass(frozen=True)
class EchoImage:
    """What tells whether an image is one echo of several: header values, grid, and what it was taken for so far."""

    values: Values
    grid: Grid | None
    contrast: Contrast


def by_echo(images: Sequence[EchoImage]) -> list[Contrast]:
    """Return the contrasts of the images of one series, in their order, with in- and opposed-phase echoes named.

    Only images on one grid with one repetition time and flip angle are compared. A part that a coded field states
    stays as it is; one that rests on text alone gives way to the echo time.
    """
    contrasts = [image.contrast for image in images]
    waiting = [n for n, image in enumerate(images) if _may_be_echo(image)]
    while waiting:
        first = images[waiting[0]]
        group = [n for n in waiting if _is_one_acquisition(first, images[n])]
        waiting = [n for n in waiting if n not in group]
        times = {float(images[n].values["te_ms"]) for n in group}
        if len(times) < len(group):
            continue
        if len(group) == 2:
            for n, contrast in _pair(images, (group[0], group[1])):
                contrasts[n] = contrast
        elif len(group) >= MANY_ECHOES:
            for n in group:
                evidence = f"one of {len(group)} echoes of a gradient echo train"
                contrasts[n] = replace(contrasts[n], sequence=Kind.OTHER, part=None, evidence=evidence, confidence=0.8)
    return contrasts


def _may_be_echo(image: EchoImage) -> bool:
    contrast, te = image.contrast, image.values.get("te_ms")
    kinds = image.values.get("scanning_sequence", [])
    is_gradient = "GR" in kinds or str(image.values.get("echo_pulse_sequence", "")).upper() == "GRADIENT"
    is_open = contrast.part is None or (contrast.part in _PHASES and "image type" not in contrast.evidence)
    return bool(is_gradient and contrast.is_anatomical and is_open and image.grid is not None and te and te > 0)


def _is_one_acquisition(a: EchoImage, b: EchoImage) -> bool:
    assert a.grid is not None
    assert b.grid is not None
    tr, other = (float(image.values.get("tr_ms") or 0.0) for image in (a, b))
    is_same = abs(tr - other) <= SAME_TR_FRAC * tr and a.values.get("flip_deg") == b.values.get("flip_deg")
    return is_same and same_grid(a.grid, b.grid)


def _pair(images: Sequence[EchoImage], pair: tuple[int, int]) -> list[tuple[int, Contrast]]:
    """Name both echoes of a pair, or neither."""
    found = []
    for n in pair:
        values, before = images[n].values, images[n].contrast
        te, field = float(values["te_ms"]), float(values.get("field_t") or 0.0)
        part = phase_by_echo(te, field) if field > 0 and te < T2STAR_TE_MS else None
        if part is None:
            return []
        agrees = before.part is part
        evidence = f"Dixon part by echo time {te:.2f} ms at {field:.2f} T{'; text agrees' if agrees else ''}"
        confidence = ECHO_TIME_AND_TEXT if agrees else ECHO_TIME
        found.append((n, Contrast(Kind.DIXON, part, before.is_fat_suppressed, evidence, confidence)))
    return found if {contrast.part for _, contrast in found} == set(_PHASES) else []
