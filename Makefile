# Two commands matter: `make demo` (the main job on the demo shop) and `make test` (all tests).
# Both set up everything they need; `make check` is what CI runs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp

.PHONY: demo test setup check format lint types contracts bench lock clean

demo: setup          ## the main job: the demo shop's journeys through days of virtual time
	@$(BIN)/sojourn demo

test: setup          ## all tests
	$(BIN)/pytest

setup: $(STAMP)      ## .venv/bin/sojourn exists after it

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

check: setup lint types contracts test   ## what CI runs

format: setup        ## rewrites the files as the formatter likes them
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

bench: setup         ## ratios within one run, never absolute promises
	$(BIN)/python -m tests.bench

lock:                ## re-pins the dependencies (needs uv)
	uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --universal --python-version 3.11 --all-extras pyproject.toml build.in -o requirements.lock

clean:
	rm -rf $(VENV) .sojourn .pytest_cache .mypy_cache .ruff_cache .hypothesis
