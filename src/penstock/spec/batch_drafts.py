"""What one file says of a batch job, as far as it says anything.

A `Draft` says what is deployed, for online and batch alike; what only a job has stands beside it, by the names
of the fields that `penstock.assembly` fills with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.spec.drafts import Draft


@dataclass(frozen=True, kw_only=True)
class BatchDraft:
    """One file's part of a batch job.

    `batch` holds fields of `penstock.bundle.batch.BatchSettings`, `output` those of
    `penstock.bundle.batch.Output`, both by field name: what the file says, and where it says nothing Azure ML's
    defaults, as its scripts rely on them.
    """

    draft: Draft
    batch: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    output_file_name: str = ""
    """A plain file name, for the text that ``append_row`` gathers; empty: the form's own."""
    locations: tuple[str, ...] = ()
    """Inputs that the file names, absolute paths or URLs; empty: it leaves them to the command line."""
    names_inputs: bool = False
    """``name=location`` on the command line is for an input of that name."""
    ignores_names: bool = False
    """It has one input, whatever name is said."""
    input_format: str = ""
    """As `penstock.bundle.batch.Inputs.format`, or empty."""
