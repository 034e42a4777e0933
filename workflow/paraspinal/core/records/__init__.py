"""Tables with declared schemas, the shards they come in, and the receipts that decide what is computed again."""

__all__ = [
    "columns",
    "digest",
    "environments",
    "items",
    "manifest",
    "notes",
    "people_schemas",
    "receipts",
    "registry",
    "schemas",
    "seals",
    "shards",
    "stage",
    "tables",
    "views",
    "work",
]
