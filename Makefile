# Everything sets itself up: a fresh machine needs Python 3.11+ with venv, pip and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PEOPLE ?= 2000

.DEFAULT_GOAL := help
.PHONY: help demo test proofs spark postgres lint bench lock clean

help: ## what there is to type
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

# One environment serves the demo and the tests; the stamps say which lock is in it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mqlsync needs Python 3.11 or later; found $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "this Python has no venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: requirements.lock pyproject.toml | $(BIN)/python
	@test -e $(VENV)/.dev || $(BIN)/pip install --disable-pip-version-check -q --require-hashes -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install --disable-pip-version-check -q --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.spark: requirements-spark.lock $(VENV)/.dev
	$(BIN)/pip install --disable-pip-version-check -q --require-hashes -r requirements-spark.lock
	@touch $@

demo: $(VENV)/.core ## both CRMs on this machine, 2,000 people, the whole job twice
	$(BIN)/mqlsync demo --people $(PEOPLE)

test: $(VENV)/.dev ## the test suite
	$(BIN)/pytest -q -n 2 --dist worksteal
	@echo "left out: the slow proofs, which take minutes (make proofs); scoring on Spark, which needs pyspark and Java (make spark); a store in Postgres, which needs a server to start (make postgres)"

proofs: $(VENV)/.dev ## the slow proofs: kill -9 at every boundary, faults of every kind
	$(BIN)/pytest -q -n 2 --dist worksteal -m 'slow and not postgres'

spark: $(VENV)/.spark ## scoring on Spark, held against DuckDB; needs a Java runtime
	@test -x "$${JAVA_HOME:-/nowhere}/bin/java" || command -v java >/dev/null || { echo "Spark needs a Java 17 runtime; on Debian and Ubuntu: apt-get install openjdk-17-jre-headless"; exit 1; }
	$(BIN)/pytest -q -m spark

postgres: $(VENV)/.dev ## the store in Postgres; needs the programs of a server, which it starts and ends itself
	@command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || { echo "there is no Postgres server to start; on Debian and Ubuntu: apt-get install postgresql"; exit 1; }
	$(BIN)/pytest -q -n 2 --dist worksteal -m postgres

lint: $(VENV)/.dev ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## measure; the table goes into docs/performance.md
	$(BIN)/python -m tests.benchmarks

lock: ## resolve again (needs uv)
	echo hatchling | uv pip compile -q pyproject.toml - --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	echo hatchling | uv pip compile -q pyproject.toml - --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -c requirements.lock -o requirements-dev.lock
	echo hatchling | uv pip compile -q pyproject.toml - --extra dev --extra spark --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -c requirements-dev.lock -o requirements-spark.lock

clean: ## remove what make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache demo
