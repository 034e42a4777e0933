"""How good the models are, on people they never saw: numbers for their cards."""

__all__ = ["muscles", "spine", "spine_trials"]
