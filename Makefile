# The only commands one needs; CI runs the same ones. Each sets up what it lacks.
# PYTHON: any Python 3.11 or newer. The environment is made from the lock file and never touched by hand.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

# Tests start processes by the thousand: each would compile anew whatever it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo dev test test-fast check format bench bench-realtime bench-batch lock clean system

help:
	@echo "make demo       the main job in miniature: train, serve, score over HTTP (under a minute)"
	@echo "make test       every check and every test"
	@echo "make dev        the locked environment in .venv; the command is then .venv/bin/penstock"
	@echo "make test-fast  the tests that start no server (under a minute)"
	@echo "make check      formatting, lints, types, import contract"
	@echo "make format     put formatting right"
	@echo "make bench      ours beside the bare loops and the peers; writes bench/results/; bench-realtime, bench-batch: one half"
	@echo "make lock       resolve the lock files anew"
	@echo "make clean      remove what was built here"

$(VENV)/.ready: requirements-uv.lock requirements.lock pyproject.toml
	@echo "setting up $(VENV) from the lock (about half a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penstock needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(RUN)/python -m pip install --quiet --require-hashes --requirement requirements-uv.lock
	@$(RUN)/uv pip sync --quiet --compile-bytecode --python $(RUN)/python --require-hashes requirements.lock
	@$(RUN)/uv pip install --quiet --python $(RUN)/python --no-deps --editable .
	@touch $@

# Torch stands apart from the lock: its CPU build carries a local version that a hash lock cannot name for
# every platform.
$(VENV)/.torch: $(VENV)/.ready
	@$(RUN)/python -m pip install --quiet --constraint requirements-torch.txt torch
	@touch $@

dev: $(VENV)/.ready

demo: $(VENV)/.ready
	@$(RUN)/python examples/demo.py

# What tests and benchmarks drive beside Python: Debian's packages (a browser, a load generator, PostgreSQL) and
# Azurite, which is Azure's blob store for one machine. Installed where that is possible without asking;
# elsewhere the tests that need them are skipped with their reason, or fail where CI is set.
AZURITE := 3.35.0

system: .build/azurite/.ready-$(AZURITE)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		! { command -v wrk && command -v chromium && { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }; } >/dev/null 2>&1; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends wrk chromium postgresql >/dev/null; fi

.build/azurite/.ready-$(AZURITE):
	@if command -v npm >/dev/null; then echo "installing Azurite under .build (about 30 s the first time)" && \
		npm install --silent --no-audit --no-fund --prefix .build/azurite azurite@$(AZURITE) && touch $@ || \
		echo "Azurite could not be installed; its tests will be skipped"; fi

check: $(VENV)/.ready
	$(RUN)/ruff format --check --quiet .
	$(RUN)/ruff check --quiet .
	$(RUN)/mypy
	$(RUN)/lint-imports

# Two at a time: most of a test is waiting for processes.
TWO := --numprocesses 2 --dist worksteal

test: system check $(VENV)/.torch
	$(RUN)/python -m pytest $(TWO)

test-fast: $(VENV)/.torch
	$(RUN)/python -m pytest $(TWO) -m "not slow" tests/unit tests/docs

format: $(VENV)/.ready
	$(RUN)/ruff check --fix --quiet . || true
	$(RUN)/ruff format --quiet .

bench: bench-realtime bench-batch

bench-realtime: system $(VENV)/.ready
	$(RUN)/python -m bench.realtime

bench-batch: $(VENV)/.ready
	$(RUN)/python -m bench.batch

lock: $(VENV)/.ready
	echo "uv>=0.9" | $(RUN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate - --output-file requirements-uv.lock
	$(RUN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra sklearn --extra lightgbm --extra onnx --extra mlflow --extra arrow --extra images \
		--extra s3 --extra azure --extra http --extra sql --extra delta --extra ray --group dev \
		pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) .build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
