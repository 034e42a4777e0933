"""What several commands read from the command line alike."""

from __future__ import annotations

from typing import Any

import yaml

from paraspinal.core.errors import ConfigError


def assigned(assignments: list[str]) -> dict[str, Any]:
    """Read ``group.key=value`` words into a nested configuration; raises ConfigError for other words."""
    config: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator:
            raise ConfigError(f"--set {key}: expected KEY=VALUE", hint="for example --set shard_size=8")
        branch = config
        *groups, leaf = key.split(".")
        for group in groups:
            branch = branch.setdefault(group, {})
        try:
            branch[leaf] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {key}: the value cannot be read", hint="quote it, and use UTF-8") from None
    return config
