"""The Scorer of a loaded model: requests of any form in, one call on the model for all that may share it.

Order of work for a frame: plain requests the quick way (`frames`); else each is decoded by its codec, those
of like layout are joined, the model is called once, the result is cut at the row counts and encoded. A call
that fails is repeated for its halves, down to single requests, so that only the culprit hears of it. A result
whose rows are not as many as went in is never cut. Runs in workers: Python 3.8.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, Iterator, Sequence

from penstock import errors
from penstock.kit import context
from penstock.scoring import statuses, tables
from penstock.scoring.codecs import registry
from penstock.scoring.codecs.interface import UNCOUNTED, Call, Codec
from penstock.scoring.interface import Description, Model, Reply, Request, Signature
from penstock.scoring.models import frames, openapi, rows

FAILED = "The model failed. Check the logs for more info."


class _Pending:
    """One request on its way: where its reply goes, and what its codec understood."""

    __slots__ = ("call", "codec", "index", "request")

    def __init__(self, index: int, request: Request, codec: Codec, call: Call) -> None:
        self.index = index
        self.request = request
        self.codec = codec
        self.call = call


class ModelScorer:
    """See `penstock.scoring.interface.Scorer`."""

    def __init__(self, model: Model, service: openapi.Service = openapi.Service()) -> None:  # noqa: B008 - frozen
        self._model = model
        self._service = service
        self._frames = frames.Frames.of(model)

    @property
    def batches(self) -> bool:
        """Whether requests may share a call on the model."""
        return self._model.row_independent

    @property
    def fork_safe(self) -> bool:
        """See `Model.fork_safe`."""
        return self._model.fork_safe

    def describe(self) -> Description:
        """See `Scorer.describe`."""
        from penstock.scoring.codecs import openinference

        return Description(
            kind="model",
            methods=("POST", "OPTIONS"),
            documents=openapi.documents(self._model, self._service),
            inference=openinference.metadata(self._model),
            notes=tuple(getattr(self._model, "notes", ())),
        )

    def close(self) -> None:
        """Nothing is held that the end of the process does not free."""

    def score(self, requests: list[Request]) -> list[Reply]:
        """See `Scorer.score`."""
        replies: list[Reply | None] = [None] * len(requests)
        rest = self._score_plain(requests, replies) if self._frames is not None else range(len(requests))
        pending = []
        for index in rest:
            decoded = self._decode(index, requests[index])
            if isinstance(decoded, Reply):
                replies[index] = decoded
            else:
                pending.append(decoded)
        for group in self._groups(pending):
            for member, reply in zip(group, self._score_group(group)):
                replies[member.index] = reply
        return [reply for reply in replies if reply is not None]

    def _score_plain(self, requests: list[Request], replies: list[Reply | None]) -> Sequence[int]:
        """Fill in the replies that the quick way has; returns the indices of the requests left over."""
        assert self._frames is not None
        plain = [index for index, request in enumerate(requests) if frames.is_plain(request)]
        if not plain:
            return range(len(requests))
        quick = self._frames.score([requests[index] for index in plain])
        if quick is None:
            return range(len(requests))
        for index, reply in zip(plain, quick):
            replies[index] = reply
        if len(plain) == len(requests):
            return ()
        return [index for index, reply in enumerate(replies) if reply is None]

    def _decode(self, index: int, request: Request) -> Any:
        """A `_Pending`, or the Reply to a request that goes no further."""
        codec = registry.codec_of(request.path)
        if codec is None:
            return registry.SCORE.refuse(404, f"There is nothing at {request.path}.", request)
        if request.method == "OPTIONS":
            return Reply(b"", headers=(("allow", "POST, OPTIONS"),))
        if request.method != "POST":
            return codec.refuse(405, f"{request.method} is not served here; use POST.", request)
        try:
            return _Pending(index, request, codec, codec.decode(request, self._model))
        except errors.InputError as error:
            return codec.refuse(statuses.of(error), error.message, request)
        except Exception as error:  # noqa: BLE001 - one request's surprise must not cost the others theirs
            _log(request, "decoding the request failed", error)
            return codec.refuse(500, "The request could not be read. Check the logs for more info.", request)

    def _groups(self, pending: list[_Pending]) -> Iterator[list[_Pending]]:
        """Requests that may share a call, in order of arrival; each alone where the model allows no sharing."""
        open_groups: dict[Any, tuple[list[_Pending], int]] = {}
        for member in pending:
            call = member.call
            if not self._model.row_independent or not 0 < call.rows < rows.MOST_SHARED:
                yield [member]
                continue
            key = (call.method, repr(sorted(call.params.items())), rows.layout(call.data))
            group, size = open_groups.get(key, ([], 0))
            if size + call.rows > rows.MOST_SHARED:
                yield group
                group, size = [], 0
            group.append(member)
            open_groups[key] = (group, size + call.rows)
        for group, _ in open_groups.values():
            yield group

    def _score_group(self, group: Sequence[_Pending]) -> list[Reply]:
        """One call for all. Where that fails, one for each half, and so on down to the culprit: a client that
        sends bad values must not cost everybody the shared call."""
        if len(group) == 1:
            return [self._score_alone(group[0])]
        shared = self._score_shared(group)
        if shared is not None:
            return shared
        middle = len(group) // 2
        return self._score_group(group[:middle]) + self._score_group(group[middle:])

    def _score_shared(self, group: Sequence[_Pending]) -> list[Reply] | None:
        """None when the shared call failed or its result cannot be cut: then nobody's rows are known."""
        first = group[0].call
        counts = [member.call.rows for member in group]
        try:
            data = rows.join([member.call.data for member in group])
            result = self._model.call(first.method, tables.prepared(data, self._model), first.params)
            if rows.count(result) != sum(counts):
                return None
            pieces = rows.cut(result, counts)
        except Exception:  # noqa: BLE001 - told and logged for the culprit alone, when it is called alone
            return None
        return [self._encode(member, piece) for member, piece in zip(group, pieces)]

    def _score_alone(self, member: _Pending) -> Reply:
        call, request = member.call, member.request
        if call.rows == 0:
            # No model is asked about nothing: most refuse an empty array.
            return self._encode(member, [])
        context.request_id = request.id
        try:
            result = self._model.call(call.method, tables.prepared(call.data, self._model), call.params)
        except errors.InputError as error:
            return member.codec.refuse(statuses.of(error), error.message, request)
        except Exception as error:  # noqa: BLE001 - whatever a model raises, its caller gets an answer
            if statuses.is_refusal(error, is_input_known=_is_known(self._model.signature)):
                # One line: a client that sends such values sends many. Its end says where to look.
                _log(request, f"{call.method} refused its input: {_where(error)}", None)
                said = error if statuses.is_refusal(error) else f"{type(error).__name__}: {error}"
                return member.codec.refuse(400, f"The model refused its input: {said}", request)
            _log(request, f"{call.method} failed on {call.rows} rows", error)
            return member.codec.refuse(500, FAILED, request)
        finally:
            context.request_id = ""
        if self._model.row_independent and call.rows != UNCOUNTED:
            count = rows.count(result)
            if count != call.rows:
                found = f"{count} rows" if count >= 0 else f"a single {type(result).__name__}"
                message = (
                    f"The model answered {found} for {call.rows} rows, so no answer can be told whose it is."
                )
                _log(request, message, None)
                return member.codec.refuse(500, message, request)
        return self._encode(member, result)

    def _encode(self, member: _Pending, result: Any) -> Reply:
        try:
            return member.codec.encode(result, member.call, self._model)
        except errors.InputError as error:
            return member.codec.refuse(statuses.of(error), error.message, member.request)
        except Exception as error:  # noqa: BLE001 - a result that cannot be written is its request's alone
            _log(member.request, "writing the answer failed", error)
            message = f"The model's answer could not be written: {error}"
            return member.codec.refuse(500, message, member.request)


def _is_known(signature: Signature) -> bool:
    """Whether the codecs could check all that a model asks of its inputs' form: no dimension but the rows' is
    free."""
    return signature.layout != "unknown" and all(
        size != -1 for field in signature.inputs for size in field.shape[1:]
    )


def _where(error: BaseException) -> str:
    """``ValueError: Input X contains NaN. (validation.py:186)``: the first line of what it says, and where it
    was raised."""
    lines = str(error).splitlines() or [""]
    frames_of = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames_of[-1].filename)}:{frames_of[-1].lineno})" if frames_of else ""
    return f"{type(error).__name__}: {lines[0]}{place}"


def _log(request: Request, what: str, error: BaseException | None) -> None:
    """One line and the traceback, to the worker's stderr, under the request's id."""
    text = "request {}: {}\n".format(request.id or "(no id)", what)
    if error is not None:
        text += "".join(traceback.format_exception(type(error), error, error.__traceback__))
    sys.stderr.write(text)
    sys.stderr.flush()
