"""How a network is taught: task, loss, loop, checkpoints, and the recipes of the shipped models."""

__all__ = ["checkpoint", "loop", "losses", "muscles_card", "recipes", "task"]
