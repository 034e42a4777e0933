"""What a stage may use while it works: settings, artifacts of earlier stages, and a place for its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from paraspinal.core.files import sha256_file
from paraspinal.core.imaging.images import write_image
from paraspinal.core.settings import Settings

_MAKING = threading.RLock()


@dataclass
class Work:
    """What a stage may use while it works on one unit."""

    results: Path
    settings: Settings
    shard: int
    shared: dict[str, Any]
    """Kept for the whole shard, for what is costly to load: a model, a private index."""
    outputs: dict[str, str] = field(default_factory=dict)

    def image_path(self, relative: str) -> Path:
        """Absolute path of an artifact of an earlier stage."""
        return self.results / relative

    def save_image(self, image: sitk.Image, relative: str) -> str:
        """Write an image artifact; returns its sha256."""
        write_image(image, self.results / relative)
        return self.record(relative)

    def record(self, relative: str) -> str:
        """Register an artifact already written at ``relative``; returns its sha256."""
        self.outputs[relative] = sha256_file(self.results / relative)
        return self.outputs[relative]

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returned when it was first called under this name in this shard."""
        with _MAKING:  # units side by side need the same one
            if name not in self.shared:
                self.shared[name] = make()
            return self.shared[name]
