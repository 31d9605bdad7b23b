"""What holds for every test."""

from __future__ import annotations

import signal

import hypothesis

# A runner in the background, or under nohup, starts us with these ignored, and an ignored signal stays ignored
# in every child: tests of what the signals do would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Fixtures of real services, each started by the first test that asks for it.
pytest_plugins = ["support.postgres", "support.object_store", "support.azurite", "support.http_files"]

# Machines are shared, and the first call of a library imports it: how long one example takes says nothing.
# The same examples in every run: what fails here failed before it was handed on.
hypothesis.settings.register_profile("penstock", deadline=None, derandomize=True)
hypothesis.settings.load_profile("penstock")
