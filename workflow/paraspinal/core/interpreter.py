"""What Python finds when it looks for a package: ours and those installed for us, whatever else the user's machine has.

Only the standard library is imported here, for nothing else may be looked for before :func:`own_packages_first`.
"""

from __future__ import annotations

import os
import site
import sys
import tempfile
from pathlib import Path

PACKAGES = str(Path(__file__).resolve().parents[2])
"""The folder that holds this package."""


def own_packages_first() -> None:
    """Look last for packages in PYTHONPATH and the user's site folder, and not at all in the working directory.

    A cluster module or a file named like a package (``yaml.py``) would else be run in the place of ours.
    """
    named = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), site.getusersitepackages()]
    foreign = {str(Path(path).absolute()) for path in named}
    known = sys.path if sys.flags.safe_path else sys.path[1:]
    ordered = sorted(known, key=lambda path: str(Path(path).absolute()) in foreign)
    sys.path[:] = list(dict.fromkeys([PACKAGES, *ordered]))


def for_children() -> dict[str, str]:
    """Variables by which every Python that we start, on whatever node, finds our packages and no others."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": PACKAGES,
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
    }


def caches(private: Path) -> dict[str, str]:
    """Variables that send caches to the private folder where the user's own place for them cannot be written."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return {}
    except OSError:
        own = private / "cache"
        return {"XDG_CACHE_HOME": str(own), "MPLCONFIGDIR": str(own / "matplotlib")}


def name_home() -> None:
    """Say that there is no home folder where the system knows none; else tools make a folder called ``~``."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.devnull
