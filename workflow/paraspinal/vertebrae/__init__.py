"""From what a network says of a spine to named levels, without torch: bodies, end plates, the junction, numbering.

`spine` is the way through the whole room; how L5 is decided is told in `junction`.
"""

__all__ = ["answer", "numbering", "spine", "stack"]
