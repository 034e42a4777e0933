"""What a network is taught: the contract between image synthesis and the training loop."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ClassArray = npt.NDArray[np.int64]

ShareArray = npt.NDArray[np.float16]

Sample = tuple[FloatArray, ClassArray | ShareArray, FloatArray]


class Task(Protocol):
    """A source of synthetic training samples for one network.

    Implementations are picklable (they cross into a worker process) and draw everything random
    from the generator they are given, so a seed reproduces a sample exactly.
    """

    @property
    def name(self) -> str:
        """Name of the task in checkpoints."""
        ...

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Output classes in channel order, background first."""
        ...

    @property
    def heatmap_names(self) -> tuple[str, ...]:
        """Heatmaps in channel order; may be empty."""
        ...

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw one sample.

        Returns inputs (C, H, W) float32, classes (H, W) int64 with values in
        0..len(class_names)-1 and heatmaps (K, H, W) float32 in [0, 1] (K may be 0). H and W are
        the same for every sample of a task and divisible by 16. A class below zero stands for
        several, see :func:`paraspinal.models.training.losses.any_of`. Instead of classes a task may
        give the share of each pixel that every class fills, (L, H, W) float16.
        """
        ...
