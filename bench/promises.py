"""A promise, as data: what was promised, and how to read it off the figures of a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Figures = TypeVar("Figures")


@dataclass(frozen=True, kw_only=True)
class Bar(Generic[Figures]):
    """One promise: `measure` reads the figure, which must be at least (or at most) `limit`."""

    name: str
    limit: float
    unit: str
    measure: Callable[[Figures], float | None]
    at_most: bool = False

    def passes(self, value: float) -> bool:
        """Whether `value` keeps the promise."""
        return value <= self.limit if self.at_most else value >= self.limit
