"""From what a network says of a spine to named levels, without torch: bodies, end plates, the junction, numbering."""

__all__ = ["bodies", "numbering"]
