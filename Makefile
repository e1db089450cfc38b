# Every target sets up what it needs; `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME := $(CURDIR)
export GX_ANALYTICS_ENABLED := false
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] < (3, 11))" || { echo "Python 3.11 is needed; name yours with make PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q crm_hygiene assets expectations  # also where Python is told to write none as it runs
	@touch $@

setup: $(VENV)/ready  ## build the virtual environment from the lock file

landing/.sampled: | $(VENV)/ready
	@test -d landing || $(BIN)/crm-hygiene sample --out .
	@mkdir -p landing && touch $@

run: $(VENV)/ready landing/.sampled  ## the whole night on sample exports (or on what is in landing/)
	@$(BIN)/crm-hygiene run

PYTEST = $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/ready  ## the tests but for the long ones
	$(PYTEST) -m "not long"

test-all: $(VENV)/ready  ## every test: also whole nights, clusters, faults, scale; properties on twice as many examples
	$(PYTEST) --hypothesis-profile usual --durations 40

test-thorough: $(VENV)/ready  ## every test, properties on eight times as many examples; before a release
	$(PYTEST) --hypothesis-profile thorough --durations 40

check: $(VENV)/ready  ## format, lint, types, layering, definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/dg check defs

ui: $(VENV)/ready  ## Dagster's UI on the code location, http://127.0.0.1:3000
	$(BIN)/dg dev --port 3000

.venv-recordlinkage/ready: bench/recordlinkage/requirements.lock $(VENV)/ready
	$(PYTHON) -m venv .venv-recordlinkage
	.venv-recordlinkage/bin/pip install --quiet --disable-pip-version-check --require-hashes -r bench/recordlinkage/requirements.lock
	@$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > $$(.venv-recordlinkage/bin/python -c "import site; print(site.getsitepackages()[0])")/project.pth
	@touch $@

bench: .venv-recordlinkage/ready  ## nights of 10,000, 100,000 and 1,000,000 people, beside plain scripts
	$(BIN)/python -m bench

bench-linkage: $(VENV)/ready  ## accuracy on public data sets beside plain Splink, where they are
	$(BIN)/python -m bench linkage

bench-cash: $(VENV)/ready  ## reconciliation of ledgers with truth, beside naive SQL
	$(BIN)/python -m bench cash

.venv-tryton/ready: bench/tryton/requirements.lock $(VENV)/ready
	$(PYTHON) -m venv .venv-tryton
	.venv-tryton/bin/pip install --quiet --disable-pip-version-check --require-hashes -r bench/tryton/requirements.lock
	@$(BIN)/python -m bench.tryton.server
	@touch $@

tryton: .venv-tryton/ready  ## a Tryton 8 of its own in .venv-tryton, for the tests of its target

circle-tryton: .venv-tryton/ready  ## the whole circle on it: dirty parties, night, apply, second plan empty, undo
	@$(BIN)/python -m bench tryton

.azurite/ready: tests/object_store/azurite/package.json tests/object_store/azurite/package-lock.json
	mkdir -p .azurite && cp tests/object_store/azurite/package*.json .azurite
	npm ci --prefix .azurite --ignore-scripts --no-audit --no-fund --silent --fetch-retries 1
	@touch $@

azurite: .azurite/ready  ## Azure's blob storage in .azurite (needs node and npm), for the tests of a lake on it

lock:  ## compile the lock files anew (needs uv); they name no registry
	uv pip compile pyproject.toml --group dev --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-strip-extras --no-annotate --no-header --python-version 3.11 --upgrade -o requirements.lock
	uv pip compile bench/tryton/requirements.in --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --no-header --python-version 3.11 --upgrade -o bench/tryton/requirements.lock
	uv pip compile bench/recordlinkage/requirements.in --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --no-header --python-version 3.11 --upgrade -o bench/recordlinkage/requirements.lock

clean:  ## remove the lake, the sample exports and Dagster's history, not the environment
	rm -rf lake landing truth .dagster

.PHONY: help setup run test test-all test-thorough check ui bench bench-linkage bench-cash tryton circle-tryton lock clean
