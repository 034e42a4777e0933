"""Questions about a results folder: how far, why, and what a change would compute."""

__all__ = ["evidence", "rerun_estimate", "run_plan", "status", "watch", "why"]
