"""The end of a job: dead letters gathered, the summary. Driver only."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.bundle.batch import BatchLaunch
from penstock.errors import JobError
from penstock.kit import urls
from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.messages import Outcome
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.reports import progress
from penstock.runtimes.batch.sinks.interface import Published
from penstock.runtimes.batch.tally import Tally

DEAD_LETTERS = "dead-letters.jsonl"


def gather_dead_letters(ledger: Ledger, staging: str, folder: Path) -> str:
    """All dead letters in the plan's order as one file in the job's folder; its path, or empty. The line numbers of
    ``traceback_of`` are those of the whole file."""
    target = folder / DEAD_LETTERS
    lines = 0
    with target.open("w", encoding="utf-8") as out:
        for outcome in ledger.outcomes(failed_only=True):
            if not outcome.dead_letters:
                letter = {"mini_batch": outcome.number, "items": outcome.failed, "error": outcome.error}
                out.write(json.dumps({**letter, "traceback": outcome.traceback}) + "\n")
                lines += 1
                continue
            first = lines
            with (
                contextlib.suppress(FileNotFoundError),
                Path(staging, outcome.dead_letters).open() as letters,
            ):
                for line in letters:
                    letter = json.loads(line)
                    if "traceback_of" in letter:
                        letter["traceback_of"] += first
                    out.write(json.dumps(letter, ensure_ascii=False) + "\n")
                    lines += 1
    if not lines:
        target.unlink()
        return ""
    return str(target)


def lost(launch: BatchLaunch, ledger: Ledger, tally: Tally, staging: str, why: str) -> JobError:
    """The end of a job with too many failures, and its first real traceback. Gathers the dead letters."""
    gather_dead_letters(ledger, staging, Path(launch.folder))
    first = f": {tally.error}" if tally.error else ""
    where = f" (first in {tally.where})" if tally.where else ""
    bisect = ""
    if launch.settings.on_error == "fail":
        bisect = f"A new job with --on-error bisect sets bad {launch.settings.noun} aside. "
    return JobError(
        f"job {launch.job} failed: {why}{first}{where}",
        detail=tally.traceback,
        hint=f"mend the cause, then penstock score --resume {launch.job}; what was scored is kept. {bisect}"
        f"Logs and failed {launch.settings.noun}: {launch.folder}",
    )


def scored_files(ledger: Ledger, staging: str) -> Iterator[SourceFile]:
    """The files of which nothing failed; the parts of one follow one another."""
    held: SourceFile | None = None
    failed = False
    for outcome in ledger.outcomes():
        pieces = ledger.mini_batch(outcome.number).pieces
        to_blame = (
            _to_blame(outcome, staging, {piece.file.uri for piece in pieces}) if outcome.failed else set()
        )
        for piece in pieces:
            if held is not None and piece.file.uri != held.uri:
                if not failed:
                    yield held
                failed = False
            held = piece.file
            failed = failed or piece.file.uri in to_blame
    if held is not None and not failed:
        yield held


def _to_blame(outcome: Outcome, staging: str, uris: set[str]) -> set[str]:
    """Of the files of `outcome` those whose rows failed, as its dead letters say; all, where they do not."""
    if not outcome.dead_letters:
        return uris
    found: set[str] = set()
    with Path(staging, outcome.dead_letters).open(encoding="utf-8") as letters:
        for line in letters:
            letter = json.loads(line)
            found.update(letter.get("files") or [letter["file"]])
    return found if found <= uris else uris  # a script's files have other names once they are fetched


def discard_inputs(folder: Path) -> None:
    """Remove what was fetched."""
    shutil.rmtree(folder, ignore_errors=True)


def summary(
    launch: BatchLaunch,
    ledger: Ledger,
    tally: Tally,
    published: Published,
    workers: Mapping[str, Mapping[str, Any]],
    seconds: float,
) -> dict[str, Any]:
    """What came of the job, JSON-able: counts, seconds, memory in bytes, places."""
    per_worker = [
        {"worker": name, **about, "cpu_s": round(about["cpu_s"], 3)} for name, about in workers.items()
    ]
    in_this_run = sum(about["items"] for about in workers.values())
    return {
        "job": launch.job,
        "noun": launch.settings.noun,
        "items": tally.items,
        "items_in_this_run": in_this_run,
        "failed": tally.failed,
        "successes": tally.successes,
        "mini_batches": tally.mini_batches,
        "failed_mini_batches": tally.failed_mini_batches,
        "left_out": ledger.fact("left_out", 0),
        "rows": published.rows,
        "seconds": round(seconds, 3),
        "per_second": round(in_this_run / max(seconds, 1e-6), 1),
        "planning_s": round(ledger.fact("planning_s", 0.0), 3),
        "ledger_s": round(ledger.seconds, 3),
        "publish_s": round(ledger.fact("publish_s", 0.0), 3),
        "reading_s": round(tally.reading_s, 3),
        "scoring_s": round(tally.scoring_s, 3),
        "writing_s": round(tally.writing_s, 3),
        "workers": per_worker,
        "output": urls.without_secrets(published.where),
        "output_files": published.files,
        "output_bytes": published.size,
        "note": published.note,
        "error": tally.error,
        "dead_letters": ledger.fact("dead_letters", ""),
        "folder": launch.folder,
        "logs": str(Path(launch.folder, "logs")),
    }


def text(summary: Mapping[str, Any]) -> str:
    """`summary` for people."""
    noun = summary["noun"]
    rate = progress.number(summary["per_second"])
    what = progress.counted(summary["items"], noun[:-1])
    if summary["items_in_this_run"] != summary["items"]:
        what += f", {summary['items_in_this_run']:,} of them in this run,"
    took = progress.duration(summary["seconds"])
    lines = [f"  {what} in {took}, {rate} {noun}/s, {summary['failed']:,} failed"]
    workers = summary["workers"]
    if workers:
        cpu = " + ".join(f"{about['cpu_s']:.1f}" for about in workers[:8])
        peak = max(about["peak_bytes"] for about in workers)
        counted = progress.counted(len(workers), "worker")
        lines.append(f"  {counted}: {cpu} s of CPU, {progress.size(peak)} of memory at most")
    if summary["left_out"]:
        lines.append(f"  {progress.counted(summary['left_out'], 'file')} scored before, and left out")
    lines.append("")
    extent = progress.counted(summary["rows"], "row")
    if summary["output_files"]:
        files = progress.counted(summary["output_files"], "file")
        extent += f", {files}, {progress.size(summary['output_bytes'])}"
    lines.append(f"    results  {summary['output']}  ({extent})")
    if summary["note"]:
        lines.append(f"             {summary['note']}")
    if summary["dead_letters"]:
        lines.append(f"    failed   {summary['dead_letters']}")
        lines.append(f"             first: {summary['error']}")
    lines.append(f"    job      {summary['job']}  ({summary['folder']})")
    return "\n".join(lines) + "\n"
