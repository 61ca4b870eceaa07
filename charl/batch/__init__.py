"""Batching (`vmap`): a graph over one lane becomes a graph over all lanes at once, along a new first axis."""

from charl.batch.lanes import batched, mapped

__all__ = ["batched", "mapped"]
