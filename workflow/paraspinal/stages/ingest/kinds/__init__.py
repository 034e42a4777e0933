"""What an image is by its header: maker, sequence, Dixon part, body region, each with what it rests on."""

__all__ = ["echoes", "image_kind", "region", "sequence", "vendor"]
