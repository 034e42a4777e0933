"""Tables with declared schemas, the shards they come in, and the receipts that decide what is computed again."""

__all__ = [
    "columns",
    "digest",
    "items",
    "notes",
    "people_schemas",
    "receipts",
    "registry",
    "schemas",
    "shards",
    "software",
    "tables",
    "work",
]
