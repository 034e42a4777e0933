"""The card of the spine model: what it eats, says and was taught, what it is good for and where it fails."""

from __future__ import annotations

from paraspinal.models.card import Accuracy, ModelCard, card_labels
from paraspinal.models.synthesis.spine.task import SpineTask
from paraspinal.models.synthesis.spine.view import HEATMAP_NAMES

LIMITS = (
    "Vertebrae are counted upwards from the sacrum. With the lumbosacral junction out of view there is no numbering; "
    "with little of S1 in view it rests on the slope of the end-plates as well.",
    "A sixth lumbar vertebra cannot be told from T12 without ribs, nor a lumbarised S1 from L5 for certain: names "
    "above L1 are by counting only, and a transitional vertebra is suspected where a shift by one level is possible.",
    "Numbering is refused below a probability of 0.95: severe scoliosis, fusion and strong artefacts bring that about.",
    "Centres and outlines are least exact where the column curves sideways: slices then cut bodies obliquely.",
    "Tested on real images of two scanners and two contrasts; fat-suppressed, Dixon and T1 spin-echo images and axial "
    "stacks cut sagittally were only simulated.",
    "Two revisions of the synthesis were made with the real test volumes in view, and refusals on them led to the end-"
    "plates as a witness; no weight was fitted to them, but the numbers on them are optimistic.",
    "Where the image ends in the middle of L5 a number can still be wrong: see the accuracy on cut images.",
    "The grid is 2 mm: end-plates are placed to about 1 to 2 mm, a little within the rim of the body.",
)


def spine_card(version: str, accuracy: tuple[Accuracy, ...], history: str | None = None) -> ModelCard:
    """Write the card of a spine model; network and last schedule are filled in on export.

    ``history`` says what the weights went through before that schedule, where it is not the recipe's.
    """
    task = SpineTask()
    spec = {"n_inputs": task.n_inputs, "n_classes": len(task.class_names), "n_heatmaps": len(task.heatmap_names)}
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
            "channels": [
                "intensity over the 97th percentile",
                "local z-score, 14 mm",
                "local z-score of the slice before, 3 to 6.5 mm to the right, 0 if there is none",
                "local z-score of the slice after",
            ],
        },
        network=spec,
        labels=card_labels(task.class_names),
        heatmaps=HEATMAP_NAMES,
        training={
            "data": "synthetic sagittal slices only: nine tenths painted along a drawn chain of vertebrae, a tenth cut "
            "from the procedural body of paraspinal.phantom; no real image",
            "licence": "Apache-2.0",
            "history": history or "every phase of the recipe, one after the other",
        },
        intended_use="Finding and numbering lumbar levels for measuring muscles in cohorts. Not for diagnosis.",
        limits=LIMITS,
        accuracy=accuracy,
    )
