"""What the physics of the magnetic resonance signal allows a Dixon pair to look like."""

from __future__ import annotations

import math

T1_FAT_MS = (300.0, 400.0)
"""T1 of subcutaneous fat: 343 ms at 1.5 T, 382 ms at 3 T (de Bazelaire et al., Radiology 2004;230:652)."""
T1_LEAN_MS = 1450.0
"""The longest T1 of muscle: 856 and 898 ms (de Bazelaire 2004) to 1008 and 1412 ms (Stanisz et al., Magn Reson Med
2005;54:507) at 1.5 and 3 T."""
TRANSMIT = (0.8, 1.2)
"""The flip angle reached in the body over the one asked for: 20 % off either way at 3 T."""
DENSITY_RATIO = 1.3
"""Signal-giving protons of fat over those of muscle, at most."""
COIL_RATIO = 1.25
"""How much nearer to a coil the fat may be than the muscle beside it, as a ratio of sensitivities."""
SHORT_TR_MS = 250.0
"""No spin echo is repeated faster than this: the image is a gradient echo, and a spoiled one, as Dixon sets are."""
BRIGHTEST_FAT = 10.0
"""Pure fat over pure water in any weighting; heavily T2-weighted turbo spin echoes come nearest to it."""
DIMMEST_FAT = 0.6
"""And at least: proton-density weighting (1.05) times what a single-peak reconstruction of late echoes leaves of the
fat signal (0.65, by the peaks of Hamilton et al., NMR Biomed 2011;24:784), or lean tissue brightened by a contrast
agent."""


def spoiled_echo(t1_ms: float, tr_ms: float, flip_deg: float) -> float:
    """Signal of a spoiled gradient echo per proton, T2* aside.

    sin(a) (1 - E) / (1 - E cos(a)) with E = exp(-TR/T1): Ernst & Anderson, Rev Sci Instrum 1966;37:93.
    """
    e, angle = math.exp(-tr_ms / t1_ms), math.radians(flip_deg)
    return math.sin(angle) * (1.0 - e) / (1.0 - e * math.cos(angle))


def fat_over_water(tr_ms: float | None, flip_deg: float | None) -> tuple[float, float]:
    """Return the least and the greatest ratio of the brightness of pure fat to that of lean tissue in a sound pair.

    With the timing of a spoiled gradient echo the upper limit follows from the signal equation; the lower one does not,
    for a contrast agent brings the T1 of lean tissue down to that of fat.
    """
    if tr_ms is None or flip_deg is None or not 0 < tr_ms <= SHORT_TR_MS or not 0 < flip_deg <= 90.0:
        return DIMMEST_FAT, BRIGHTEST_FAT
    ratios = [
        spoiled_echo(t1, tr_ms, flip_deg * b1) / spoiled_echo(T1_LEAN_MS, tr_ms, flip_deg * b1)
        for t1 in T1_FAT_MS
        for b1 in TRANSMIT
    ]
    return DIMMEST_FAT, min(BRIGHTEST_FAT, max(ratios) * DENSITY_RATIO * COIL_RATIO)
