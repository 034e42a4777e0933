"""Where the project's own files are; the package runs from its checkout."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
RESOURCES = PROJECT / "resources"
SCHEMAS = PROJECT / "workflow" / "schemas"
SNAKEFILE = PROJECT / "Snakefile"
DEFAULT_CONFIG = PROJECT / "config" / "config.yaml"
