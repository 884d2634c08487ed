# `make help` lists what there is. Everything happens in .venv; nothing is installed elsewhere.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A Milvus server for the tests: its package wants versions of its own.
MILVUS := .milvus/bin/milvus-server
ENGINE_TESTS := $(addprefix tests/,catalog index query duplicates portable ingest watching cli web \
	test_engine.py test_captioning.py test_reembedding.py)
INDEX ?= indexes/demo
FOLDER ?=
QUERY ?= a dog

.DEFAULT_GOAL := help
.PHONY: help install demo serve test test-all test-postgres lint check bench docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[web]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(MILVUS): | $(BIN)/python
	$(PYTHON) -m venv .milvus
	.milvus/bin/pip install --quiet --disable-pip-version-check 'milvus==2.3.5'

install: $(VENV)/.installed  ## set up .venv with what searching needs

demo: install  ## index real photographs and search them: make demo FOLDER=~/Pictures QUERY="a dog"
	@$(BIN)/python scripts/demo.py --index $(INDEX) $(if $(FOLDER),--folder "$(FOLDER)" --query "$(QUERY)")

serve: install  ## open the page over an index: make serve INDEX=indexes/demo
	@$(BIN)/searchengine serve --index $(INDEX) --open

test: $(VENV)/.installed-dev  ## run the fast tests (two minutes on two cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-all: $(VENV)/.installed-dev $(MILVUS)  ## run every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "slow or not slow"

test-postgres: $(VENV)/.installed-dev  ## run the tests of the engine with its catalog on PostgreSQL
	OMP_NUM_THREADS=1 SEARCHENGINE_TEST_CATALOG=postgresql $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not sqlite" $(ENGINE_TESTS)

lint: $(VENV)/.installed-dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test-all  ## lint and test

bench: $(VENV)/.installed-dev  ## the benchmarks of docs/experiments.md
	$(BIN)/python scripts/bench.py $(if $(PHOTOS),--photos "$(PHOTOS)")
	$(BIN)/python scripts/bench_queries.py $(if $(PHOTOS),--photos "$(PHOTOS)")

docs: $(VENV)/.installed-dev  ## write the generated pages anew
	$(BIN)/python scripts/cli_reference.py

clean:  ## remove .venv and caches
	rm -rf $(VENV) .cache build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
