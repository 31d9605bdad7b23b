"""Which rows of a mini-batch have killed or hung workers, and what is to be tried next. Pure.

A worker that dies cannot say why. It said which rows it was about to score, so the rows are the suspects: they
are tried again as often as a call may be, then, where rows are to be told apart, cut in halves that are tried
once each, until the killers are alone. What is left over is dead, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Span = tuple[int, int]


@dataclass
class Damage:
    """The state of one mini-batch. Rows (files, where files are handed over) count from 0 within it."""

    max_retries: int
    bisect: bool
    tries: dict[Span, int] = field(default_factory=dict)
    dead: list[tuple[int, int, str]] = field(default_factory=list)
    splits: set[int] = field(default_factory=set)
    otherwise: set[Span] = field(default_factory=set)
    """Calls that have cost a worker otherwise than by taking too long."""
    losses: int = 0
    """Deaths outside of any call: while reading or writing."""

    def hit(self, span: Span, why: str, *, overstayed: bool = False) -> bool:
        """A worker was lost in the call of `span`; `overstayed`: because that took too long. Whether it has had its
        attempts: it is dead now."""
        start, stop = span
        if not overstayed:
            self.otherwise.add(span)
        tries = self.tries.get(span, 0) + 1
        self.tries[span] = tries
        if tries <= self.max_retries:
            return False
        if self.bisect and stop - start > 1:
            middle = (start + stop) // 2
            self.splits |= {start, middle, stop}
            for half in ((start, middle), (middle, stop)):
                # One try each: their whole has had its repeats.
                self.tries.setdefault(half, self.max_retries)
            return False
        self.dead.append((start, stop, why))
        return True

    def lost(self) -> bool:
        """A worker was lost outside of any call. Whether the mini-batch has had its attempts."""
        self.losses += 1
        return self.losses > self.max_retries
