"""The card of the spine model: what it eats, says and was taught, what it is good for and where it fails."""

from __future__ import annotations

from typing import Any

from paraspinal.models.card import Accuracy, ModelCard, card_labels
from paraspinal.models.spine_synthesis import FOREIGN_SHARE, PHANTOM_SHARE, SpineTask
from paraspinal.models.spine_view import HEATMAP_NAMES

LIMITS = (
    "Vertebrae are counted upwards from the sacrum. With the lumbosacral junction out of view there is no numbering; "
    "with little of S1 in view it rests on the slope of the end-plates as well.",
    "A sixth lumbar vertebra cannot be told from T12 without ribs, nor a lumbarised S1 from L5 for certain: names "
    "above L1 are by counting only, and a transitional vertebra is suspected where a shift by one level is possible.",
    "Numbering is refused below a probability of 0.95: severe scoliosis, fusion and strong artefacts bring that about.",
    "Centres and outlines are least exact where the column curves sideways: slices then cut bodies obliquely.",
    "Tested on real images of two scanners and two contrasts; fat-suppressed, Dixon and T1 spin-echo images and axial "
    "stacks cut sagittally were only simulated.",
    "The causes of refusals of version 0.1.0 on the real test volumes guided which appearances were added to the "
    "synthesis and that end-plates were brought in as a witness; no weight, and no threshold, was fitted to them.",
    "The grid is 2 mm: end-plates are placed to about 1 to 2 mm, a little within the rim of the body.",
)


def spine_card(version: str, accuracy: tuple[Accuracy, ...], training: dict[str, Any] | None = None) -> ModelCard:
    """Write the card of a spine model; network and last schedule are filled in on export."""
    task = SpineTask()
    spec = {"n_inputs": task.n_inputs, "n_classes": len(task.class_names), "n_heatmaps": len(task.heatmap_names)}
    painted = 1 - PHANTOM_SHARE - FOREIGN_SHARE
    return ModelCard(
        name="spine",
        version=version,
        task=task.name,
        licence="Apache-2.0",
        summary="Vertebral bodies, discs, sacrum and canal of sagittal lumbar MR of any contrast, with centre heatmaps "
        "that, together with the slope of the end-plates, fix the numbering.",
        input={
            "plane": "sagittal, or a volume that can be cut so",
            "orientation": "rows run caudally, columns posteriorly",
            "pixel_mm": 2.0,
            "channels": ["intensity over the 97th percentile", "local z-score, 14 mm"],
        },
        network=spec,
        labels=card_labels(task.class_names),
        heatmaps=HEATMAP_NAMES,
        training={
            "data": f"synthetic sagittal slices only: {painted:.0%} painted along a drawn chain of vertebrae, "
            f"{PHANTOM_SHARE:.0%} cut from the procedural body of paraspinal.phantom, {FOREIGN_SHARE:.0%} of other "
            "body parts; no real image",
            "licence": "Apache-2.0",
            **(training or {}),
        },
        intended_use="Finding and numbering lumbar levels for measuring muscles in cohorts. Not for diagnosis.",
        limits=LIMITS,
        accuracy=accuracy,
    )
