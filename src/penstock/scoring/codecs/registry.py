"""Which codec speaks for which path. Runs in workers: Python 3.8."""

from __future__ import annotations

from penstock.scoring.codecs import score_route
from penstock.scoring.codecs.interface import Codec

SCORE: Codec = score_route.ScoreRoute()


def codec_of(path: str) -> Codec | None:
    """The codec of a request's `path`, or None where no model is scored. Whatever prefix the deployment has
    stands before it."""
    if path.endswith((score_route.SCORE, score_route.INVOCATIONS)):
        return SCORE
    if "/v2/models/" in path:
        from penstock.scoring.codecs import openinference

        codec: Codec = openinference.OpenInferenceCodec()
        return codec
    return None
