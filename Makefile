# Two commands: `make run` and `make test`. Python 3.11+ is all they need; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test cover check format bench fire fire-short screenshots clean

help:
	@echo "make run     the whole shop on this machine, at http://127.0.0.1:8000 (PORT=... HOST=... VAR_DIR=...)"
	@echo "make test    every test"
	@echo "make cover   every test, and which branches none of them takes (twice the time)"
	@echo "make check   lint, types and import rules"
	@echo "make bench   what we promise about speed, with wrk (apt-get install wrk); writes docs/performance.md"
	@echo "make fire    the proof: kills, power cuts, floods, models; writes docs/proof.md (about 50 minutes)"
	@echo "make fire-short   its short forms, as tests"
	@echo "make screenshots   the storefront's pages as pictures, with an installed Chromium"
	@echo "make clean   forget the virtual environment (never the data in var/)"

run: $(VENV)/runtime
	@exec $(BIN)/python -m web.start

test: $(VENV)/tools
	$(BIN)/python -m pytest -n auto $(ARGS)

cover: $(VENV)/tools
	$(BIN)/python -m pytest -n auto --cov --cov-report=term $(ARGS)
	$(BIN)/python -m coverage report --include='shop/*,carts/*,tasks/*,payments/*' --fail-under=95

check: $(VENV)/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/bench
	$(BIN)/python -m bench.all $(ARGS)

screenshots: $(VENV)/tools
	$(BIN)/python -m tests.e2e.browser.screenshots

fire-short: $(VENV)/tools
	$(BIN)/python -m pytest tests/fire $(ARGS)

fire: $(VENV)/tools
	$(BIN)/python -m tests.fire.all $(ARGS)

clean:
	rm -rf $(VENV)

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "oncecart: Python 3.11 or newer is needed; try make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "oncecart: making a virtual environment (once)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/runtime: $(VENV)/python requirements.txt
	@echo "oncecart: installing dependencies (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/tools: $(VENV)/runtime requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(VENV)/bench: $(VENV)/tools requirements-bench.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@
