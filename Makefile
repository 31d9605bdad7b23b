# The only commands one needs; CI runs the same ones. Each sets up what it lacks.
# PYTHON: any Python 3.11 or newer. The environment is made from the lock file and never touched by hand.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: help demo dev test test-fast check bench lock clean

help:
	@echo "make demo       the main job in miniature: train, serve, score over HTTP (under a minute)"
	@echo "make test       every check and every test"
	@echo "make dev        the locked environment in .venv; the command is then .venv/bin/penstock"
	@echo "make test-fast  the tests that need no server (under a minute)"
	@echo "make check      formatting, lints, types, import contract"
	@echo "make bench      ours beside the peers; writes bench/results/"
	@echo "make lock       resolve the lock file anew"

$(VENV)/.ready: requirements-uv.lock requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(RUN)/python -m pip install --quiet --require-hashes --requirement requirements-uv.lock
	$(RUN)/uv pip sync --quiet --python $(RUN)/python --require-hashes requirements.lock
	$(RUN)/uv pip install --quiet --python $(RUN)/python --no-deps --editable .
	@touch $@

# Torch stands apart from the lock: its CPU build carries a local version that a hash lock cannot name for
# every platform.
$(VENV)/.torch: $(VENV)/.ready
	$(RUN)/python -m pip install --quiet torch==2.13.0
	@touch $@

dev: $(VENV)/.ready

lock:
	echo "uv>=0.9" | $(RUN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate - --output-file requirements-uv.lock
	$(RUN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra sklearn --extra lightgbm --extra onnx --extra mlflow --extra arrow --group dev \
		pyproject.toml --output-file requirements.lock
