"""What a stage may use while it works: settings, artifacts of earlier stages, and a place for its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from paraspinal.core.errors import DamagedError
from paraspinal.core.files import sha256_file
from paraspinal.core.imaging.images import write_image
from paraspinal.core.records.receipts import Artifact
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
    earlier: Mapping[str, str] = field(default_factory=dict)
    """sha256 of the artifacts of earlier stages, by path."""
    outputs: list[Artifact] = field(default_factory=list)

    def image_path(self, relative: str) -> Path:
        """Absolute path of an artifact of an earlier stage; raises DamagedError if it is not what that stage wrote."""
        path = self.results / relative
        if relative in self.earlier:
            self.once(f"checked {relative}", lambda: self._check(path, self.earlier[relative]))
        return path

    @staticmethod
    def _check(path: Path, sha256: str) -> None:
        if not path.is_file() or sha256_file(path) != sha256:
            raise DamagedError("an image is gone or not as it was written")

    def save_image(self, image: sitk.Image, relative: str) -> str:
        """Write an image artifact; returns its sha256."""
        write_image(image, self.results / relative)
        return self.record(relative)

    def record(self, relative: str) -> str:
        """Register an artifact already written at ``relative``; returns its sha256."""
        path = self.results / relative
        self.outputs.append(Artifact(relative, sha256_file(path), path.stat().st_size))
        return self.outputs[-1].sha256

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returned when it was first called under this name in this shard."""
        with _MAKING:  # units side by side need the same one
            if name not in self.shared:
                self.shared[name] = make()
            return self.shared[name]
