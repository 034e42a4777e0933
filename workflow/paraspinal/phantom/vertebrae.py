"""Bone, discs and canal: tissue at chain coordinates of the spine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from paraspinal.core.labels import disc_labels, label_by_name, vertebra_labels
from paraspinal.phantom.parameters import AnatomyParameters
from paraspinal.phantom.shapes import Floats, Noise, smoothstep, superellipse
from paraspinal.phantom.spine import LAST_LUMBAR, Spine, SpineCoordinates
from paraspinal.phantom.tissue import Tissue

BODY_EXPONENT = 2.5
"""Roundness of the cross-section of a body: between an ellipse (2) and a box."""

WAIST_FRAC = 0.07
END_PLATE_HOLLOW_MM = 1.6
"""Depth to which a disc bulges into the end plates at its centre; the rims lie in the end-plate planes."""

SHELL_MM = 1.1
"""Thickness of cortical bone as it appears at 1 mm (chemical shift included)."""

SAC_END = LAST_LUMBAR + 2.2
"""Level coordinate of the end of the dural sac (S2)."""

CONUS = 0.2
"""Level coordinate of the tip of the cord."""

_SACRAL_WING = (58.0, 50.0, 40.0, 30.0, 20.0, 9.0)
"""Half-width of the sacrum with its wings, S1 to coccyx, mm, for a vertebra 48 mm wide."""

THORACIC_LABELS = {"T7": 27, "T8": 28, "T9": 29, "T10": 30}
THORACIC_DISC_LABELS = {"T7_T8": 78, "T8_T9": 79, "T9_T10": 80, "T10_T11": 81}
"""Vertebrae above the registry of labels, by the same public scheme."""


@dataclass(frozen=True)
class SpineTissue:
    """Tissue and label of points; `is_set` tells where the column has a say."""

    tissue: np.ndarray
    label: np.ndarray
    is_set: np.ndarray


class Paint(Protocol):
    """Give the points of a mask a tissue and a label (one code, or a code per point)."""

    def __call__(self, where: np.ndarray, kind: Tissue, code: np.ndarray | int = 0) -> None: ...


def unit_labels(spine: Spine) -> np.ndarray:
    """Return the label of every unit number of the chain (see SpineCoordinates)."""
    vertebrae = {**THORACIC_LABELS, **vertebra_labels()}
    discs = {**THORACIC_DISC_LABELS, **disc_labels()}
    sacrum = label_by_name("sacrum").code
    last_disc = discs["L5_S1"]
    labels = np.full(2 * len(spine.names) + 1, sacrum, dtype=np.uint16)
    for k, name in enumerate(spine.names[: spine.first_sacral]):
        labels[2 * k + 1] = vertebrae[name]
        below = spine.names[k + 1]
        labels[2 * k + 2] = last_disc if below == "S1" else discs.get(f"{name}_{below}", last_disc)
    return labels


class Column:
    """All tissue of the vertebral column of one person."""

    def __init__(self, spine: Spine, parameters: AnatomyParameters, texture: Noise) -> None:
        """Prepare the tables; `texture` scatters the nerve roots."""
        self.spine = spine
        self.p = parameters
        self.texture = texture
        self.labels = unit_labels(spine)
        self.scale = parameters.vertebra_width_mm / 48.0
        stations = spine.station
        # Level coordinate at the upper and lower plane of each vertebra: a vertebra spans +-0.36 around its station.
        self.plane_station = np.stack([stations - 0.36, stations + 0.36], axis=1).ravel().astype(np.float32)

    def __call__(self, at: SpineCoordinates, x: Floats, y: Floats, z: Floats) -> SpineTissue:
        """Classify points (n,) given in chain and world coordinates."""
        spine, p = self.spine, self.p
        tissue = np.zeros(len(x), dtype=np.uint8)
        label = np.zeros(len(x), dtype=np.uint16)
        is_set = np.zeros(len(x), dtype=bool)

        def paint(where: np.ndarray, kind: Tissue, code: np.ndarray | int = 0) -> None:
            tissue[where] = kind
            label[where] = code if isinstance(code, int) else code[where]
            is_set[where] = True

        unit, f, u, v = at.unit, at.fraction, at.u, at.v
        is_vertebra = unit % 2 == 1
        level = self.plane_station[unit - 1] + (self.plane_station[unit] - self.plane_station[unit - 1]) * f
        is_sacral = unit >= 2 * spine.first_sacral + 1
        half_width, half_depth = spine.size_at(unit, f)
        bulge = np.sin(np.float32(np.pi) * f)
        wide = half_width * np.where(is_vertebra, 1 - WAIST_FRAC * bulge, 1.0 + 0.03 * bulge)
        deep = half_depth * np.where(is_vertebra, 1 - 0.5 * WAIST_FRAC * bulge, 1.0 + 0.03 * bulge)
        # The posterior wall is flat to slightly hollow.
        back = np.where(v > 0, deep * (1 - 0.10 * np.exp(-((u / (0.45 * wide)) ** 2))), deep)
        rho = superellipse(u / wide, v / back, BODY_EXPONENT)
        in_body = rho < 1
        rim = (1 - rho) * deep

        # Canal and sac, behind the posterior wall.
        taper = np.clip(1 - 0.17 * (level - (LAST_LUMBAR + 0.6)), 0.25, 1) * np.clip(1 + 0.02 * (level - 2), 0.8, 1.1)
        canal_depth = p.canal_depth_mm / 2 * taper
        canal_width = p.canal_width_mm / 2 * taper
        wall = half_depth * 0.92
        canal_v = v - wall - canal_depth
        # Triangular towards the lamina.
        narrow = 1 - 0.35 * smoothstep(-0.2, 1.0, canal_v / canal_depth)
        canal = superellipse(u / (canal_width * narrow), canal_v / canal_depth, 2.4)
        self._posterior(at, level, wall, canal, paint)
        self._sacrum(at, level, half_depth, canal, canal_v, canal_depth, is_sacral, paint)

        # Bodies and discs.
        hollow = END_PLATE_HOLLOW_MM * np.clip(1 - rho**2, 0, 1)
        plate = np.minimum(at.above_mm, at.below_mm)
        lumbar_disc = in_body & ~is_sacral & (~is_vertebra | (plate < hollow))
        body = in_body & is_vertebra & ~lumbar_disc
        paint(body & ~is_sacral, Tissue.VERTEBRAL_BODY, self.labels[unit])
        paint(body & is_sacral, Tissue.SACRUM, self.labels[unit])
        shell = np.minimum(rim, np.where(is_vertebra, plate - hollow, 9.0))
        paint(body & (shell < SHELL_MM) & ~is_sacral, Tissue.CORTICAL_BONE, self.labels[unit])
        paint(body & (shell < SHELL_MM) & is_sacral, Tissue.CORTICAL_BONE, self.labels[unit])
        nearer = np.where(is_vertebra, np.where(at.above_mm < at.below_mm, unit - 1, unit + 1), unit)
        paint(lumbar_disc, Tissue.DISC, self.labels[nearer])
        in_nucleus = lumbar_disc & (superellipse(u / wide, (v - 1.5) / back, 2.2) < 0.66)
        # A thin disc has lost its bright nucleus.
        paint(in_nucleus & (self._disc_height(nearer) > 6.0), Tissue.NUCLEUS, self.labels[nearer])
        vein = body & ~is_sacral & (np.abs(f - 0.5) < 0.05) & (np.abs(u) < 3.5) & (v > 0.45 * deep)
        paint(vein, Tissue.CORTICAL_BONE, self.labels[unit])
        remnant = in_body & is_sacral & ~is_vertebra
        paint(remnant, Tissue.CORTICAL_BONE, self.labels[unit])
        is_s12 = unit == 2 * spine.first_sacral + 2
        paint(remnant & is_s12 & (rho < 0.8), Tissue.DISC, self.labels[unit])

        self._canal(level, canal, u, canal_v, canal_depth, canal_width, z, in_body, paint)
        return SpineTissue(tissue, label, is_set)

    def _disc_height(self, unit: np.ndarray) -> Floats:
        heights = np.zeros(2 * len(self.spine.names) + 1, dtype=np.float32)
        heights[2 : 2 * len(self.spine.gap) + 1 : 2] = self.spine.gap
        return np.asarray(heights[np.clip(unit, 0, len(heights) - 1)])

    def _posterior(self, at: SpineCoordinates, level: Floats, wall: Floats, canal: Floats, paint: Paint) -> None:
        """Paint pedicles, laminae, facets, transverse and spinous processes of the free vertebrae."""
        p, u, v = self.p, at.u, at.v
        side = np.abs(u)
        # Position within the own vertebra: 0 at its upper plane, 1 at its lower, up to 1.9 in the disc and level below.
        free = level < LAST_LUMBAR + 0.75
        canal_half = p.canal_depth_mm / 2
        behind = v - wall
        station = self.spine.station.astype(np.float32)
        cell = np.clip(np.searchsorted(station - 0.40, level, side="right") - 1, 0, len(station) - 1)
        g = level - station[cell]  # -0.4 .. 0.6 around the own station
        bone = np.zeros(len(u), dtype=bool)
        # Pedicles: upper half, from the wall to the arch.
        pedicle = superellipse((side - 13.5 * self.scale - 0.5) / (4.6 * self.scale), (g + 0.16) / 0.19, 2.5)
        bone |= (pedicle < 1) & (behind > -6) & (behind < canal_half + 4)
        # Laminae: a roof over the canal, its upper edge leaning back.
        roof = (canal >= 1) & (canal < 1.55) & (behind > 0.75 * canal_half)
        bone |= roof & (g > -0.17) & (g < 0.34)
        # Facet joints, between a vertebra and the next: lumps lateral to the canal around the disc.
        facet = np.sqrt(
            ((side - 17.5 * self.scale) / (7.5 * self.scale)) ** 2
            + ((behind - canal_half * 1.35) / 8.5) ** 2
            + ((np.abs(g - 0.48)) / 0.30) ** 2
        )
        bone |= (facet < 1) & (canal >= 1)
        # Transverse processes: thin bars, longest at L3.
        length = p.transverse_length_mm * np.clip(1.12 - 0.12 * np.abs(level - 2), 0.6, 1.1)
        outward = side - 15 * self.scale
        bar = superellipse((behind - 2 - 0.13 * outward) / 4.5, (g + 0.13) / 0.15, 2.2)
        bone |= (bar < 1) & (outward > 0) & (outward < length)
        # Spinous process: a plate behind the arch, sloping down, thicker at its lower edge.
        reach = behind - 1.7 * canal_half
        length = p.spinous_length_mm * np.clip(1.02 - 0.05 * (level - 2) ** 2, 0.45, 1.05)
        slope = np.where(level < -0.5, 0.022, 0.0065)
        g_sp = g - slope * np.clip(reach, 0, None) - 0.14
        half = 2.6 + 1.8 * smoothstep(0.5, 1.0, reach / length) + 1.2 * smoothstep(0.0, 0.25, g_sp)
        edge = superellipse(g_sp / 0.30, (reach - length / 2) / (length / 2 + 4), 5.0)
        plate = np.maximum(edge, side / half)
        bone_all = free & (bone | ((plate < 1) & (reach > -4)))
        ligament = free & (side < 2.2) & (reach > 0) & (reach < length * 0.9)
        paint(free & (canal >= 1) & (canal < 1.9) & (behind > -2) & (side < 22) & (behind < 3 * canal_half),
              Tissue.EPIDURAL_FAT)  # fmt: skip
        flavum = free & (canal >= 1) & (canal < 1.38) & (behind > canal_half)
        paint(flavum, Tissue.LIGAMENT)
        paint(ligament, Tissue.FASCIA)
        paint(ligament & (np.abs(side - 1.4) < 0.7), Tissue.LIGAMENT)
        paint(bone_all, Tissue.CORTICAL_BONE)
        deep_roof = (canal > 1.12) & (canal < 1.42) & (g > -0.12) & (g < 0.29)
        deep_enough = (pedicle < 0.75) | (facet < 0.82) | (bar < 0.62) | deep_roof
        marrow = bone_all & (deep_enough | ((edge < 0.93) & (side < half - 0.9)))
        paint(marrow, Tissue.POSTERIOR_ELEMENTS)

    def _sacrum(
        self, at: SpineCoordinates, level: Floats, half_depth: Floats, canal: Floats, canal_v: Floats,
        canal_depth: Floats, is_sacral: np.ndarray, paint: Paint,
    ) -> None:  # fmt: skip
        """Paint the wings, the dorsal plate and the median crest of the sacrum, and its foramina."""
        u, v, side = at.u, at.v, np.abs(at.u)
        code = int(self.labels[-1])
        below = np.clip(level - (LAST_LUMBAR + 1), -0.5, 5)
        wing = np.interp(below, np.arange(6), _SACRAL_WING).astype(np.float32) * self.scale
        thick = np.clip(half_depth * 0.95 - 1, 4, None)
        # Wings sweep backwards away from the promontory.
        centre = 3 + 0.22 * np.clip(side - 16, 0, None)
        ala = superellipse(u / wing, (v - centre) / thick, 2.6)
        # The upper surface of the wings slopes down laterally: cut by a plane.
        ala_ok = is_sacral & (below > -0.36 + 0.006 * np.clip(side - 22, 0, None))
        dorsal = is_sacral & (canal >= 1) & (canal < 1.6) & (canal_v > -canal_depth)
        behind_body = (v > half_depth) & (v < half_depth + 2 * canal_depth + 3)
        dorsal |= is_sacral & (side < 0.55 * wing) & behind_body & (canal >= 1) & (ala < 1.5)
        crest = is_sacral & (side < 3) & (canal_v > 0) & (canal_v < canal_depth + 9 - 2 * below)
        crest &= np.cos(2 * np.pi * below) > -0.4
        bone = (ala_ok & (ala < 1)) | dorsal | crest
        paint(bone, Tissue.CORTICAL_BONE, code)
        inner = (ala_ok & (ala < 0.94)) | (dorsal & (canal > 1.15) & (canal < 1.45)) | (crest & (side < 2))
        paint(bone & inner, Tissue.SACRUM, code)
        foramen = superellipse((side - 0.42 * wing) / 4.5, (v - half_depth - 1) / 7.0, 2.0)
        hole = is_sacral & (foramen < 1) & (np.abs(np.mod(below + 0.5, 1.0) - 0.98) < 0.2) & (below < 3.6)
        paint(hole, Tissue.EPIDURAL_FAT)

    def _canal(
        self, level: Floats, canal: Floats, u: Floats, canal_v: Floats, canal_depth: Floats, canal_width: Floats,
        z: Floats, in_body: np.ndarray, paint: Paint,
    ) -> None:  # fmt: skip
        """Paint epidural fat, the dural sac, the cord and the roots of the cauda equina."""
        code = label_by_name("spinal_canal").code
        inside = (canal < 1) & ~in_body & (level < LAST_LUMBAR + 4.4)
        paint(inside, Tissue.EPIDURAL_FAT, code)
        sac_scale = np.clip(1.0 - 0.24 * (level - (LAST_LUMBAR + 0.4)), 0.05, 1.0)
        # The sac leaves fat behind it and, at the lumbosacral junction, in front of it.
        shift = canal_v + 0.10 * canal_depth - 1.2 * (1 - sac_scale) * canal_depth * 0.3
        sac = superellipse(u / (0.90 * canal_width * sac_scale), shift / (0.88 * canal_depth * sac_scale), 2.1)
        in_sac = inside & (sac < 1) & (level < SAC_END)
        paint(in_sac, Tissue.CSF, code)
        conus = CONUS - self.p.conus_offset_mm / 37.0
        thin = np.clip((conus - level) / 0.9, 0, 1) ** 0.5
        cord = np.hypot(u / 5.2, canal_v / 4.2)
        paint(in_sac & (cord < thin), Tissue.CORD_OR_CAUDA, code)
        # Roots: fine dots in the posterior half of the sac, running along it.
        dots = self.texture(u, canal_v, z)
        lean = smoothstep(-0.5, 0.7, canal_v / canal_depth)
        roots = in_sac & (level > conus - 0.5) & (dots > 1.5 - 1.35 * lean) & (sac < 0.92)
        paint(roots, Tissue.CORD_OR_CAUDA, code)
