"""The values and seams of scoring: what goes in, what comes out, what a model and a scorer are.

Everything that scores stands behind one door, `Scorer`; the realtime worker knows nothing else of models
and scripts. Runs in workers: Python 3.8, standard library only (arrays and tables appear as ``Any``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Protocol, Sequence


class Request:
    """One scoring request as it came over HTTP.

    `method` in capitals; `path` without the query, percent-decoding left to the reader; `query` without the
    question mark; `headers` in the order and spelling received; `body` as sent, already de-chunked. `id` is
    the request id that the caller will see in ``x-request-id``.
    """

    __slots__ = ("body", "headers", "id", "method", "path", "query")

    def __init__(
        self,
        body: bytes,
        *,
        method: str = "POST",
        path: str = "/score",
        query: str = "",
        headers: Sequence[tuple[str, str]] = (),
        id: str = "",  # noqa: A002 - the field's own word
    ) -> None:
        self.body = body
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.id = id

    def header(self, name: str, default: str = "") -> str:
        """The first header of this `name` (any case), or `default`."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value
        return default


class Reply:
    """The answer to one request: `status`, `body`, `content_type`, and `headers` beyond content type,
    length and the ids, which are the gateway's.
    """

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = headers


@dataclass(frozen=True)
class Field:
    """One named input or output.

    `dtype` is NumPy's name (``float64``, ``int64``, ``bool``, ``str``, ``bytes``, ``datetime64``,
    ``object`` when anything goes, ``category`` with `categories`). `shape` includes the row dimension
    first; -1 is free. For a column of a table it is ``(-1,)``.
    """

    name: str
    dtype: str = "object"
    shape: tuple[int, ...] = (-1,)
    required: bool = True
    categories: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives.

    `layout`: ``table`` (named columns, each Field one column), ``array`` (one unnamed array, a single
    Field), ``tensors`` (several named arrays), ``unknown`` (nothing is known: no checks, no promises).
    `source` says where it was learned (``mlflow signature``, ``feature_names_in_``, ``--sample-input``),
    for people who wonder. `sample` is one JSON-able example payload of rows, or None.
    """

    layout: str = "unknown"
    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    source: str = ""
    sample: Any = None


class Model(Protocol):
    """A loaded model, whatever its format. One file in ``loaders/`` makes each kind."""

    @property
    def name(self) -> str:
        """The model's name in the Open Inference Protocol and in logs."""

    @property
    def format(self) -> str:
        """``sklearn``, ``xgboost``, ``lightgbm``, ``onnx``, ``torch``, ``mlflow``, ``python``."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""

    @property
    def methods(self) -> tuple[str, ...]:
        """What may be called, the default first: ``("predict", "predict_proba")``."""

    @property
    def fork_safe(self) -> bool:
        """Whether a process that loaded it may fork and score in the children."""

    @property
    def row_independent(self) -> bool:
        """Whether scoring rows together equals scoring them apart, so that requests may share one call."""

    def call(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        """Score. `data` is what `signature.layout` says: ``table`` a pandas DataFrame (columns in signature
        order), ``array`` an ndarray ``(rows, ...)``, ``tensors`` a dict of ndarrays, ``unknown`` either of
        the first two, whichever the payload resembles. Returns an ndarray ``(rows, ...)``, a DataFrame or
        Series, a dict of ndarrays, or a list with one element a row.
        """


@dataclass(frozen=True)
class Description:
    """What a scorer tells the gateway once, so that no request has to ask a worker.

    `kind` is ``script`` or ``model``. `methods` are the HTTP methods of the score route. `documents` are the
    schema pages by version (``"2"``, ``"3"``, ``"3.1"``), JSON-able; a missing version answers 404.
    `inference` is the Open Inference Protocol's model metadata, or None where the deployment does not speak
    it. `wants_headers`: the gateway forwards every request's headers and target; otherwise only those of
    requests that differ from a plain JSON POST to ``/score``. `notes` are lines for the log at start: version
    clashes, what could not be checked.
    """

    kind: str
    methods: tuple[str, ...] = ("POST", "OPTIONS")
    documents: Mapping[str, Any] = field(default_factory=dict)
    inference: Mapping[str, Any] | None = None
    wants_headers: bool = False
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; `from_json` reverses it."""
        return {
            "kind": self.kind,
            "methods": list(self.methods),
            "documents": dict(self.documents),
            "inference": self.inference,
            "wants_headers": self.wants_headers,
            "notes": list(self.notes),
        }


class Scorer(Protocol):
    """The one door: everything that can answer a scoring request. Made by `penstock.scoring.open_scorer`."""

    @property
    def batches(self) -> bool:
        """True: `score` wants all requests of a frame in one call. False: the worker calls it once a request."""

    @property
    def fork_safe(self) -> bool:
        """Whether the process that holds it may fork and score in the children."""

    def describe(self) -> Description:
        """What it is, once."""

    def score(self, requests: list[Request]) -> list[Reply]:
        """Answer each request, in order, one Reply each; never raises for a request's or the user's mistake."""

    def close(self) -> None:
        """Called once when the worker ends in peace."""


@dataclass(frozen=True)
class Scored:
    """What one call of a `BatchScorer` gave.

    `content` is a ``pyarrow.Table`` with a row for each row that went in (models; a list of such tables where files
    went in), or what a script's ``run`` returned: a pandas DataFrame or a list. `successes` counts items as Azure
    ML does: returned elements.
    """

    content: Any
    successes: int


class BatchScorer(Protocol):
    """The door for batch jobs. Made by `penstock.scoring.opening.open_batch_scorer`."""

    @property
    def takes(self) -> str:
        """``arrow`` (a pyarrow Table), ``frame`` (a pandas DataFrame) or ``files`` (a list of local paths)."""

    @property
    def fork_safe(self) -> bool:
        """Whether the process that holds it may fork and score in the children."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The input columns that scoring needs, in order; None: all of them."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the log at start."""

    def score(self, data: Any) -> Scored:
        """Score one mini-batch or a part of one, at least one row. Raises whatever the user's code raises, or
        an InputError where the data is at fault."""

    def close(self) -> None:
        """Called once when the worker ends in peace; a script's ``shutdown()``."""
