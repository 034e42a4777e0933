"""What every stage shares and no stage owns; this room imports no other room."""

__all__ = [
    "archives",
    "config_files",
    "errors",
    "files",
    "identity",
    "imaging",
    "interpreter",
    "labels",
    "levels",
    "levels_sheet",
    "paths",
    "reasons",
    "records",
    "settings",
    "sheets",
    "version",
    "vocab",
]
