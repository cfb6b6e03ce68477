# `make` alone lists the targets. Variables such as HUB_PORT=8080 reach the hub from here and from the environment alike.

PYTHON ?= python3
BIN := .venv/bin
# further arguments for a target's tool: make test ARGS="-k partitions -x"
ARGS ?=
# where the fault campaign begins, and how many executions it runs: make chaos SEED=7 RUNS=20
SEED ?=
RUNS ?=
# a part of the benchmarks: make bench ONLY=reads
ONLY ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up test test-all lint format bench chaos lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

up: .venv/installed ## start the hub: database, API and a worker, at http://127.0.0.1:8000 (HUB_HOST, HUB_PORT, HUB_DATA_DIR, HUB_DATABASE_URL)
	@exec $(BIN)/hub up $(ARGS)

test: .venv/installed ## run the tests, on all cores (ARGS)
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-all: .venv/installed ## run the rare ones too: whole stacks, generated clients, benchmarks (ARGS)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "rare or not rare" $(ARGS)

lint: .venv/installed ## check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy --strict app db graphql_schema tests
	$(BIN)/lint-imports

format: .venv/installed ## rewrite the code in the one style, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed ## measure beside the peers, into build/bench.json (ONLY)
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

chaos: .venv/installed ## run the engine's fault campaign: 500 executions, about ten minutes (SEED, RUNS)
	$(BIN)/python -m tests.engine.chaos $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) $(ARGS)

lock: .venv/installed ## pin pyproject.toml's dependencies anew in requirements.lock (ARGS=--upgrade for newer versions)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --no-annotate \
		--no-header --no-emit-index-url --no-emit-find-links $(ARGS) pyproject.toml --output-file requirements.lock

# set up once, and again when the dependencies change
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("The hub needs Python 3.11 or newer; name one: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@
