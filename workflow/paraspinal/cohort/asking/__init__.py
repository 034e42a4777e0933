"""Questions about a results folder: how far, why, and what a change would compute."""

__all__ = ["run_plan", "status", "watch", "why"]
