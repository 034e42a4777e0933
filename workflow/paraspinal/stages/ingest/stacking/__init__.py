"""From files to stacks: what belongs together by what the pixels mean."""

__all__ = ["collect_stacks", "stack_store", "stacks"]
