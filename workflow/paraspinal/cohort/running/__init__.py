"""A run: the engine, its jobs, the lock, what decides whether a stage runs again."""

__all__ = ["engine", "jobs", "killed_jobs", "plan", "runs", "staleness"]
