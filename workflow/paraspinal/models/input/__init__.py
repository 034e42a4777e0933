"""What a network sees: canonical slices of an image, normalised, and exactly the way back."""

__all__ = ["batches", "muscle_input", "normalise", "spine_input", "volume", "windows"]
