"""A model from somebody's own labelled images."""

__all__ = ["sheet", "training"]
