# Two commands matter: `make demo` (the main job on the demo shop) and `make test` (all tests).
# Both set up everything they need; `make check` is what CI runs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp
TOOLS  := $(VENV)/.tools

.PHONY: demo test setup tools check format lint types contracts bench spam lock clean

demo: setup          ## the main job: the demo shop's journeys through days of virtual time
	@$(BIN)/sojourn demo

test: tools          ## all tests, each file in one of two processes: most of them wait for servers
	$(BIN)/pytest --numprocesses 2 --dist loadfile

setup: $(STAMP)      ## .venv/bin/sojourn exists after it

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

tools: $(TOOLS)      ## what only tests and development need, on top of it

$(TOOLS): $(STAMP) requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $(TOOLS)

check: tools lint types contracts test   ## what CI runs

format: tools        ## rewrites the files as the formatter likes them
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: tools
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: tools
	$(BIN)/mypy

contracts: tools
	$(BIN)/lint-imports

bench: tools         ## ratios within one run, never absolute promises
	$(BIN)/python -m tests.bench

spam: tools          ## what SpamAssassin says of the demo's mails (needs `apt-get install spamassassin`)
	$(BIN)/python -m tests.spam

PIN := uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
  --universal --python-version 3.11 pyproject.toml build.in

lock:                ## re-pins the dependencies (needs uv)
	$(PIN) --all-extras -o requirements-dev.lock
	$(PIN) --extra local --extra postgres -c requirements-dev.lock -o requirements.lock

clean:
	rm -rf $(VENV) .sojourn .pytest_cache .mypy_cache .ruff_cache .hypothesis
