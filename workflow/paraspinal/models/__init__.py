"""Networks: registry, card, synthesis, training and inference. The only room that imports torch."""

__all__ = [
    "apply",
    "card",
    "engine",
    "external",
    "inference",
    "input",
    "own_cohort",
    "registry",
    "spine_inference",
    "training",
]
