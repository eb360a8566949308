# The commands of this repository. `make` alone explains them.
# Needs a Python 3.11 or newer; everything else is fetched by it, hash-pinned. PYTHON=/path/to/python3 chooses one.

SHELL := /bin/sh
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.ready
# A site's own certificate authority is in the system's bundle; Python's requests looks only into one of its own.
BUNDLE := $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt))
ifneq ($(BUNDLE),)
export REQUESTS_CA_BUNDLE ?= $(BUNDLE)
endif

PYTEST = $(BIN)/python -m pytest
UNIT = -m "not e2e and not browser and not heavy"

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-all unit scenarios fuzz bench lint format lock clean

help: ## what can be done here
	@echo "rpm-stream: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## make .venv with everything that is needed, at the pinned versions

demo: setup ## broker, service, simulated patients and the feed, with one command; Ctrl-C ends all of it
	@$(BIN)/rpm-stream demo

up: setup ## broker, service and feed, without simulated patients
	@$(BIN)/rpm-stream up

test: setup ## unit tests on every Python 3.11 to 3.13 found here, then all tests (real Kafka, browser) on one
	@MAKE="$(MAKE)" .ci/test

test-all: setup ## as test, with the heavy tests (RPM_HEAVY=1)
	@RPM_HEAVY=1 MAKE="$(MAKE)" .ci/test

unit: setup ## the unit tests alone, on one Python
	@$(PYTEST) $(UNIT)

scenarios: setup ## draw every story of tests/scenarios into one page: build/scenarios.html
	@PYTHONPATH=tests $(BIN)/python -m support.scenarios.draw build/scenarios.html

faults: setup ## every fault on a real broker, 50 kills, and the table of README (26 minutes)
	@RPM_FAULTS=full $(PYTEST) -q -o faulthandler_timeout=1200 tests/e2e/faults

faults-long: setup ## the same with 200 kills
	@RPM_FAULTS=long $(PYTEST) -q -o faulthandler_timeout=3600 tests/e2e/faults

fuzz: setup ## an hour of mutated payloads and frames (RPM_FUZZ_SECONDS=3600); a failure names its seed
	@RPM_FUZZ_SECONDS="$${RPM_FUZZ_SECONDS:-3600}" $(PYTEST) -q -s -o faulthandler_timeout=0 tests/ingest/test_fuzz.py

bench: setup ## measure: what README's figures come from
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

lint: setup ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src

format: setup ## lay out the code as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## renew requirements/*.txt within the bounds of pyproject.toml (UPGRADE=1 takes newer versions)
	@.ci/lock $(if $(UPGRADE),--upgrade)

clean: ## remove what was built, and the virtual environments
	rm -rf .venv .venv-3.* .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements/dev.txt pyproject.toml
	@.ci/setup $(VENV)
	@touch $@
