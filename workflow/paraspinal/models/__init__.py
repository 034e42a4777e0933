"""Networks: registry, card, synthesis, training and inference. The only room that imports torch."""

__all__ = [
    "apply",
    "card",
    "device",
    "engine",
    "external",
    "inference",
    "input",
    "own_cohort",
    "registry",
    "spine_inference",
    "training",
]
