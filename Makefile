# The commands of this repository. `make` alone lists them.
# They need Python 3.11 or newer and fetch everything else, pinned by hash. PYTHON=/path/to/python3 chooses one.

SHELL := /bin/sh
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.ready
# A site's own certificate authority is in the system's bundle, but Python's requests reads only its own bundle.
BUNDLE := $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt))
ifneq ($(BUNDLE),)
export REQUESTS_CA_BUNDLE ?= $(BUNDLE)
endif

PYTEST = $(BIN)/python -m pytest
# The public data lie beside the checkout.
MODEL = src/rpm_stream/knowledge/deterioration.toml
SEPSIS = $(or $(RPM_SHARED),../shared)/data/sepsis2019
UNIT = -m "not e2e and not browser and not heavy"

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-all unit scenarios fuzz model evaluate bench lint format lock clean

help: ## list the targets
	@echo "rpm-stream: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## make .venv with all pinned requirements

demo: setup ## run broker, service, simulated patients and feed; Ctrl-C ends all of it
	@$(BIN)/rpm-stream demo

up: setup ## run broker, service and feed, without simulated patients
	@$(BIN)/rpm-stream up

test: setup ## run all tests but the heavy ones on one Python (real Kafka, browser)
	@MAKE="$(MAKE)" .ci/test

test-all: setup ## run test with the heavy tests, and the unit tests on every Python 3.11 to 3.13 found
	@RPM_HEAVY=1 MAKE="$(MAKE)" .ci/test

unit: setup ## run the unit tests on one Python
	@$(PYTEST) $(UNIT)

scenarios: setup ## draw every story of tests/scenarios into one page: build/scenarios.html
	@PYTHONPATH=tests $(BIN)/python -m support.scenarios.draw build/scenarios.html

faults: setup ## run every fault on a real broker with 50 kills, and print README's table (28 minutes)
	@RPM_HEAVY=1 RPM_FAULTS=full $(PYTEST) -q -o faulthandler_timeout=1200 tests/e2e/faults

faults-long: setup ## run every fault with 200 kills
	@RPM_HEAVY=1 RPM_FAULTS=long $(PYTEST) -q -o faulthandler_timeout=3600 tests/e2e/faults

fuzz: setup ## send mutated payloads and frames for an hour (RPM_FUZZ_SECONDS=3600); a failure names its seed
	@RPM_FUZZ_SECONDS="$${RPM_FUZZ_SECONDS:-3600}" $(PYTEST) -q -s -o faulthandler_timeout=0 tests/ingest/test_fuzz.py

model: setup ## train the deterioration score on RPM_SHARED (../shared), and write its table
	@$(BIN)/python benchmarks/train/deterioration.py --folds build/folds --out $(MODEL)

evaluate: setup ## measure scores and alerts on labelled stays of RPM_SHARED (../shared) into build/evaluation
	@$(BIN)/python benchmarks/train/deterioration.py --folds build/folds
	@$(BIN)/rpm-stream evaluate "$(SEPSIS).csv.gz" "$(SEPSIS)_oxygen.csv.gz" \
		--events "$(SEPSIS)_events.csv" --people "$(SEPSIS)_people.csv" \
		--home "$(SEPSIS)_home.csv.gz" --folds build/folds --out build/evaluation

bench: setup ## run the benchmarks behind README's figures
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

lint: setup ## run ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src

format: setup ## format the code as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## renew requirements/*.txt within the bounds of pyproject.toml (UPGRADE=1: newer versions)
	@.ci/lock $(if $(UPGRADE),--upgrade)

clean: ## remove build results and virtual environments
	rm -rf .venv .venv-3.* .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements/dev.txt pyproject.toml
	@.ci/setup $(VENV)
	@touch $@
