"""The tissues of the procedural body; an image gives each one its own brightness."""

from __future__ import annotations

from enum import IntEnum


class Tissue(IntEnum):
    """What a point of the body is made of."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    FASCIA = 3  # the thin fat planes between muscles, and fat around the spine
    MUSCLE = 4  # the eight paraspinal muscles; their label tells which
    OTHER_MUSCLE = 5  # abdominal wall, gluteals, iliacus
    VERTEBRAL_BODY = 6
    CORTICAL_BONE = 7
    DISC = 8  # annulus
    NUCLEUS = 9
    POSTERIOR_ELEMENTS = 10
    LIGAMENT = 11
    CSF = 12
    CORD_OR_CAUDA = 13
    EPIDURAL_FAT = 14
    SACRUM = 15
    ILIUM = 16
    RIB = 17
    VISCERAL_FAT = 18
    BOWEL = 19
    BOWEL_GAS = 20
    KIDNEY = 21
    RENAL_SINUS = 22
    VESSEL = 23
    LIVER_OR_SPLEEN = 24
