"""Stands in for ``azureml.core.run``: what scripts do with ``Run.get_context()`` when they are not on Azure ML.

The original gives an offline run there, which prints what is logged and has neither experiment nor workspace;
so does this one. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import uuid
from typing import Any, Mapping


class Run:
    """Where scripts get their run from. Anything else of the class needs ``azureml-core`` in the environment."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "only Run.get_context() is answered without azureml-core; add that package for the rest"
        )

    @classmethod
    def get_context(
        cls, allow_offline: bool = True, used_for_context_manager: bool = False, **others: Any
    ) -> Run:
        """The process's offline run, always the same. Raises RuntimeError when the caller allows none."""
        if not allow_offline:
            raise RuntimeError("this script does not run on Azure ML: there is no online run")
        return _CURRENT


class _OfflineRun(Run):
    """Scripts know it by its class's name, or by its id's first word."""

    def __init__(self) -> None:
        self.id = f"OfflineRun_{uuid.uuid4()}"
        self.name = self.id
        self.number = None
        self.parent = None
        self.status = "Running"
        self.input_datasets: dict[str, Any] = {}
        self.output_datasets: dict[str, Any] = {}
        self._tags: dict[str, Any] = {}
        self._properties: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"_OfflineRun(id={self.id})"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"'_OfflineRun' object has no attribute {name!r}: this script does not run on Azure ML, so there is "
            "no experiment and no workspace"
        )

    def __enter__(self) -> _OfflineRun:
        return self

    def __exit__(self, *failure: object) -> None:
        """A child run that is used as a context ends."""

    @property
    def tags(self) -> dict[str, Any]:
        """What `tag` and `set_tags` said."""
        return self._tags

    @property
    def properties(self) -> dict[str, Any]:
        """What `add_properties` said."""
        return self._properties

    def log(self, name: str, value: Any, description: str = "", step: Any = None) -> None:
        """Print a metric."""
        print(f"metric {name}: {value}" + ("" if step is None else f" (step {step})"))  # noqa: T201

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Print a metric."""
        self.log(name, value)

    def log_table(self, name: str, value: Any, description: str = "") -> None:
        """Print a metric."""
        self.log(name, value)

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Print a metric."""
        self.log(name, value)

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """Print a metric."""
        self.log(name, value)

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Print a metric."""
        self.log(name, value)

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Print a metric."""
        self.log(name, value)

    def log_row(self, name: str, description: str | None = None, **values: Any) -> None:
        """Print a metric of several values."""
        self.log(name, values)

    def log_image(self, name: str, path: Any = None, plot: Any = None, description: str = "") -> None:
        """Print where the image lies; there is nobody to show it."""
        self.log(name, path or "(image)")

    def tag(self, key: str, value: Any = None) -> None:
        """Keep a tag for this process."""
        self._tags[key] = value

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Keep tags for this process."""
        self._tags.update(tags)

    def get_tags(self) -> dict[str, Any]:
        """What was kept."""
        return self._tags

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Keep properties for this process."""
        self._properties.update(properties)

    def get_properties(self) -> dict[str, Any]:
        """What was kept."""
        return self._properties

    def get_metrics(self, *names: Any, **others: Any) -> dict[str, Any]:
        """None: they were printed."""
        return {}

    def get_status(self) -> str:
        """``Running``."""
        return self.status

    def get_file_names(self) -> list[str]:
        """None: nothing is uploaded."""
        return []

    def upload_file(self, name: str, path_or_stream: Any, *others: Any, **more: Any) -> None:
        """Nothing: files stay where they are."""

    def upload_folder(self, name: str, path: str, *others: Any, **more: Any) -> None:
        """Nothing: files stay where they are."""

    def child_run(self, name: Any = None, *others: Any, **more: Any) -> _OfflineRun:
        """Another offline run."""
        return _OfflineRun()

    def flush(self, timeout_seconds: Any = 300) -> None:
        """Nothing: all was printed at once."""

    def complete(self, *others: Any, **more: Any) -> None:
        """Nothing: the job ends when its mini-batches are done."""

    def fail(self, error_details: Any = None, error_code: Any = None, *others: Any, **more: Any) -> None:
        """Print what the script says has failed; what fails a mini-batch is an exception."""
        print(f"the script reports a failure: {error_details or error_code or ''}")  # noqa: T201


_CURRENT = _OfflineRun()


def get_run(*args: Any, **kwargs: Any) -> Any:
    """Not without Azure ML."""
    raise NotImplementedError("get_run needs azureml-core and a workspace; add that package")
