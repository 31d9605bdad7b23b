"""A nursery: the one process that a supervisor starts in a deployment's environment. It forks the workers.

Where what was loaded survives a fork, the nursery loads it once and every worker is born with it: eight
workers then cost little more memory than one, and a worker that dies is replaced in milliseconds. Where it
does not (a script's own `init`, a library with threads of its own), each worker loads for itself after the
fork. The nursery reaps its workers and says how they ended; it decides nothing, and what workers do is their
`Trade`.

Nursery and workers do not heed SIGTERM and SIGINT: service managers send them to every process of a service at
once, and what is in flight is to be finished. The supervisor ends us.

Runs in the deployment's own environment: Python 3.8, standard library only.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import os
import select
import signal
import sys
import traceback
from typing import Any, Callable, Mapping, NoReturn, Protocol

from penstock import errors
from penstock.kit import channels, processes
from penstock.runtimes import outlet

LOAD_FAILED_EXIT = 3
"""azureml-inference-server-http's exit code for a script that cannot start."""

MENDED_AFTER_FORK = ("jemalloc_bg_thd",)
"""The purging thread of pyarrow's allocator, which jemalloc itself stops and restarts around a fork."""


class Loaded(Protocol):
    """What a trade loads: a scorer."""

    @property
    def fork_safe(self) -> bool:
        """Whether the process that holds it may fork and use it in the children."""

    def close(self) -> None:
        """Let go of it."""


class Trade(Protocol):
    """What the workers of one runtime do; made from the supervisor's order."""

    @property
    def preload(self) -> str:
        """``auto``, ``always`` or ``never``: `penstock.bundle.manifest.Settings.preload`."""

    def load(self) -> Loaded:
        """Load what workers hold. Raises PenstockError where the user is to hear why not."""

    def describe(self, loaded: Any) -> dict[str, Any]:
        """JSON-able; asked once for what is shared, else once a worker."""

    def work(self, loaded: Any, description: Mapping[str, Any], alive: Callable[[], bool]) -> None:
        """Be a worker until told to end; `alive` says whether the supervisor still is."""

    def abandoned(self) -> None:
        """The supervisor is gone: put away what it cannot any more."""


class Nursery:
    """State of the process: the channel to the supervisor, the trade, and what was loaded."""

    def __init__(self, channel: channels.Channel, trade: Trade, generation: int) -> None:
        self._channel = channel
        self._trade = trade
        self._generation = generation
        self._loaded: Loaded | None = None
        self._description: dict[str, Any] = {}
        self._workers: list[int] = []
        self._supervisor = os.getppid()

    def preload(self) -> bool:
        """Load here, so that workers are born with it. False: it may not be shared by forking."""
        loaded = self._load()
        if self._trade.preload != "always" and (not loaded.fork_safe or foreign_threads()):
            loaded.close()
            return False
        self._loaded = loaded
        self._description = self._trade.describe(loaded)
        # Objects that the collector never visits stay in pages that parent and children share.
        gc.collect()
        gc.freeze()
        return True

    def run(self) -> None:
        """Fork on demand and report deaths, until the supervisor is gone."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._channel.fileno(), wake_read], [], [])
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            if self._channel.fileno() in ready:
                try:
                    message = self._channel.receive() or {}
                except channels.ChannelClosedError:
                    self._kill_all()
                    self._trade.abandoned()
                    return
                if message.get("do") == "spawn":
                    self._spawn([wake_read, wake_write])

    def _spawn(self, not_the_childs: list[int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        nursery = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            # No memory or no process left; the workers that are here work on.
            self._channel.send(
                {"event": "not-spawned", "reason": str(error.strerror), "generation": self._generation}
            )
            return
        # A group of its own, so that what a script starts ends with its worker. Parent and child both set it,
        # for either may be first.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        if pid == 0:
            for fd in not_the_childs:
                os.close(fd)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            disregard_signals()
            self._be_a_worker(nursery)
        self._workers.append(pid)
        self._channel.send({"event": "spawned", "pid": pid, "generation": self._generation})

    def _be_a_worker(self, nursery: int) -> NoReturn:
        code = 1
        # A worker outlives its nursery where the supervisor becomes its parent (`processes.adopt_orphans`).
        parents = (nursery, self._supervisor)
        try:
            loaded = self._loaded or self._load()
            description = self._description or self._trade.describe(loaded)
            self._trade.work(loaded, description, lambda: os.getppid() in parents)
            code = 0
            if self._loaded is None:
                # Handlers that a script has registered here are this process's to run; those of the nursery
                # are not.
                atexit._run_exitfuncs()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        except BaseException:  # noqa: BLE001 - the edge of the process
            traceback.print_exc(file=sys.stderr)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # The parent's exit handlers and buffers are not this process's to run.
            os._exit(code)

    def _reap(self) -> None:
        while self._workers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._workers:
                self._workers.remove(pid)
                processes.kill_group(pid)
                self._channel.send(
                    {"event": "exited", "pid": pid, "status": status, "generation": self._generation}
                )

    def _kill_all(self) -> None:
        for pid in self._workers:
            processes.kill_group(pid)

    def _load(self) -> Loaded:
        """What the trade loads, or tell the supervisor why not and end the process."""
        try:
            return self._trade.load()
        except errors.PenstockError as error:
            failure = {
                "kind": type(error).__name__,
                "stage": getattr(error, "stage", "model"),
                "message": channels.clipped(error.message, 24_000),
                "detail": channels.clipped(getattr(error, "detail", "")[-20_000:], 72_000),
                "hint": channels.clipped(error.hint, 24_000),
            }
        except (Exception, SystemExit):  # noqa: BLE001 - the edge: what a library raises at load
            failure = {
                "kind": "StartError",
                "stage": "model",
                "message": "loading failed in a way that Penstock did not foresee",
                "detail": channels.clipped(traceback.format_exc()[-20_000:], 72_000),
                "hint": "",
            }
        self._channel.send(
            {"event": "load-failed", "pid": os.getpid(), "generation": self._generation, "failure": failure}
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(LOAD_FAILED_EXIT)


DISREGARDED = (signal.SIGTERM, signal.SIGINT)


def disregard_signals() -> None:
    """Do nothing on SIGTERM and SIGINT. By handlers, not by ignoring, for programs that a script starts would
    inherit that; and not in processes that a script forks, which multiprocessing ends by SIGTERM."""
    for number in DISREGARDED:
        signal.signal(number, _disregard)


def _disregard(_number: int, _frame: Any) -> None:
    return


def _hold_signals() -> None:
    # A signal that reached the new process before `_heed_signals` would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, DISREGARDED)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, DISREGARDED)


def _heed_signals() -> None:
    for number in DISREGARDED:
        if signal.getsignal(number) is _disregard:
            signal.signal(number, signal.SIG_DFL)
    _release_signals()


def foreign_threads() -> list[str]:
    """Names of threads that libraries have started here; a fork would leave their work undone and their locks
    held. Not those that are known to mend themselves after a fork. Empty where the kernel does not say."""
    names = []
    try:
        for task in os.listdir("/proc/self/task"):
            if task != str(os.getpid()):
                with open(f"/proc/self/task/{task}/comm") as file:
                    names.append(file.read().strip())
    except OSError:
        return []
    return [name for name in names if name not in MENDED_AFTER_FORK]


def main(argv: list[str], trade_of: Callable[[Mapping[str, Any]], Trade]) -> None:
    """``nursery CHANNEL_FD``; the first message on the channel is the order, of which the trade is made.

    The order holds ``generation``, ``preload`` (whether to try), ``log_level`` and what the trade wants.
    """
    channel = channels.Channel.from_fd(int(argv[1]))
    order = channel.receive() or {}
    disregard_signals()
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_heed_signals)
    faulthandler.enable()
    outlet.install(channel, level=order["log_level"])
    generation: int = order["generation"]
    nursery = Nursery(channel, trade_of(order), generation)
    if order["preload"] and not nursery.preload():
        # A process that has grown threads, or holds a model that dislikes forking, cannot raise workers.
        channel.send({"event": "unshareable", "generation": generation})
        return
    channel.send({"event": "ready", "generation": generation})
    nursery.run()
