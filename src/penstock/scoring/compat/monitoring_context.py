"""Stands in for ``azureml.ai.monitoring.context``: what ties the rows of one request together.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import uuid

from penstock.kit import context


class CorrelationContext:
    """Base of contexts."""

    def get_id(self) -> str:
        """The correlation id."""
        raise NotImplementedError


class BasicCorrelationContext(CorrelationContext):
    """A context known by its `id`."""

    def __init__(self, id: str = "") -> None:  # noqa: A002 - the SDK's own word
        self._id = id or str(uuid.uuid4())

    def get_id(self) -> str:
        """The correlation id."""
        return self._id


def get_context() -> BasicCorrelationContext:
    """The context of the request being scored: its id, or a fresh one."""
    return BasicCorrelationContext(context.request_id)
