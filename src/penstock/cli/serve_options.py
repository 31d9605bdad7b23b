"""What ``penstock serve`` can be told: its options, under their headings."""

from __future__ import annotations

from collections.abc import Callable

import click

from penstock.cli import quantities, thing_options
from penstock.cli.thing_options import option

SERVED, ENVIRONMENT, LISTENER, ACCESS = "What is served", "Environment", "Listener", "Access"
SCORING, LOGS, OTHER = "Workers and limits", "Logs", "Other"


OPTIONS = (
    *thing_options.of(SERVED, ENVIRONMENT),
    option(SERVED, "--inference-config", metavar="FILE", help="Azure ML v1 inferenceconfig.json."),
    option(SERVED, "--deployment-config", metavar="FILE", help="Azure ML v1 deploymentconfig.json."),
    option(LISTENER, "--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]"),
    option(
        LISTENER,
        "--port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="0: any free one.  [default: 5001]",
    ),
    option(LISTENER, "--path-prefix", metavar="PREFIX", help="Put before every route: /v1/fraud."),
    option(
        LISTENER,
        "--cors-origins",
        metavar="ORIGINS",
        help="Origins that browsers may call from, with commas, or '*'.",
    ),
    option(
        ACCESS,
        "--auth-key-file",
        metavar="FILE",
        help="Keys that callers must send, one a line, two at most.",
    ),
    option(
        ACCESS,
        "--auth-key",
        multiple=True,
        metavar="KEY",
        help="The same, twice at most. Other users see arguments: prefer the file or PENSTOCK_AUTH_KEY.",
    ),
    option(
        ACCESS,
        "--no-auth",
        is_flag=True,
        help="No key, even where others can connect. Without this a key is made up then.",
    ),
    option(
        SCORING,
        "--workers",
        "--worker-count",
        "workers",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Processes that score, each with the model loaded.  [default: 1]",
    ),
    option(
        SCORING,
        "--request-timeout",
        type=quantities.Duration(),
        metavar="TIME",
        help="Longest time for one request, 500ms or 5s; then 504.  [default: 60s; 5s from an Azure ML file]",
    ),
    option(
        SCORING,
        "--max-queue",
        type=click.IntRange(1),
        metavar="N",
        help="Requests that may wait; one more gets 429.  [default: 2048]",
    ),
    option(
        SCORING,
        "--max-batch-size",
        type=click.IntRange(1, 65536),
        metavar="N",
        help="Most requests that a worker takes at a time.  [default: 256]",
    ),
    option(
        SCORING,
        "--max-body",
        type=quantities.Size(),
        metavar="SIZE",
        help="Largest request body, 64KB or 100MB; then 413.  [default: 100MB]",
    ),
    option(
        SCORING,
        "--memory-limit",
        type=quantities.Size(),
        metavar="SIZE",
        help="Resident memory at which a worker is replaced.  [default: none]",
    ),
    option(
        SCORING,
        "--start-timeout",
        type=quantities.Duration(),
        metavar="TIME",
        help="Longest time for a worker to load.  [default: 10m]",
    ),
    option(
        SCORING,
        "--preload",
        type=click.Choice(["auto", "always", "never"]),
        help="Load once and fork the workers.  [default: auto, where that is safe]",
    ),
    option(
        SCORING,
        "--reload",
        is_flag=True,
        default=None,
        help="Replace the workers when script or model change.",
    ),
    option(LOGS, "--log-format", type=click.Choice(["human", "json"]), help="[default: human]"),
    option(
        LOGS, "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: info]"
    ),
    option(LOGS, "--access-log", is_flag=True, default=None, help="One line a request."),
    option(OTHER, "--check", is_flag=True, help="Show what would be served, and stop."),
    option(
        OTHER,
        "--output",
        "-o",
        type=click.Choice(["text", "json"]),
        default="text",
        help="Form of what --check shows.  [default: text]",
    ),
)


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """`function` with every option of OPTIONS, in their order."""
    return thing_options.decorated(function, OPTIONS)
