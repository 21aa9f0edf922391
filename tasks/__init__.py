"""The jobs: what the worker does when a queue rings, and the clock that rings it."""
