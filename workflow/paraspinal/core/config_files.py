"""Files made from the settings: the commented ``config/config.yaml`` that users copy, and the schema for editors."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from paraspinal.core.files import write_text
from paraspinal.core.paths import DEFAULT_CONFIG, SCHEMAS
from paraspinal.core.settings import Group, Settings

SCHEMA = SCHEMAS / "config.schema.yaml"
_MADE = "Made from workflow/paraspinal/core/settings.py by `make config`; a change here is lost."
_HEADING = f"""\
# Every key, its unit and its default. Copy what you change into a file of your own and pass it:
#   paraspinal run --config my.yaml        or        snakemake --configfile my.yaml
# {_MADE}
"""
WIDTH = 118


def config_text() -> str:
    """Write every key with its default, under its description; text of ``config/config.yaml``."""
    return _HEADING + "".join(_lines(Settings(), ""))


def schema_text() -> str:
    """Write the JSON schema of a configuration as YAML; text of ``workflow/schemas/config.schema.yaml``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
    return f"# {_MADE}\n" + yaml.safe_dump(schema, sort_keys=False, width=WIDTH)


def descriptions(group: type[Group] = Settings, prefix: str = "") -> dict[str, str]:
    """What every key means, by its dotted name."""
    found: dict[str, str] = {}
    for key, field in group.model_fields.items():
        if isinstance(field.default, Group):
            found |= descriptions(type(field.default), f"{prefix}{key}.")
        else:
            found[prefix + key] = field.description or ""
    return found


def write_files() -> None:
    """Write both files."""
    write_text(DEFAULT_CONFIG, config_text())
    write_text(SCHEMA, schema_text())


def _lines(group: Group, indent: str) -> Iterator[str]:
    for key, field in type(group).model_fields.items():
        value: Any = getattr(group, key)
        if isinstance(value, Group):
            yield f"\n{indent}{key}:\n"
            yield from _lines(value, indent + "  ")
        else:
            if not indent:
                yield "\n"
            comment = f"{indent}# "
            text = textwrap.fill(field.description or "", WIDTH, initial_indent=comment, subsequent_indent=comment)
            yield f"{text}\n{indent}{yaml.safe_dump({key: value}, width=1000)}"


if __name__ == "__main__":
    write_files()
