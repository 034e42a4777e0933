"""Training images from nothing: anatomy, contrast, texture, and what goes wrong while an image is acquired."""

__all__ = ["augmentation", "ingredients", "muscles", "spine"]
