# `make` alone lists what there is. Everything begins with `make install`, which does nothing when nothing changed.
SHELL := /bin/sh
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Suites that start no Ray share the cores; each process has stores of its own.
PARALLEL := -n logical --maxprocesses 4 --dist worksteal
export RAY_USAGE_STATS_ENABLED := 0
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run test check format doctor bench kill-walk demo-check lock image clean \
        compose image lint types unit catalog contract integration ray e2e chaos chaos-slice system

help: ## this page
	@echo "Midwatch: the night watch over Kubernetes"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "First time here: make run, and open the address it prints. Ctrl-C stops everything."

install: ## make .venv and install the locked packages and Midwatch into it
	@scripts/install.sh

run: install ## start everything on this machine with a simulated cluster; Ctrl-C stops it
	@$(BIN)/midwatch up

test: check contract integration ray e2e chaos-slice ## everything: the gate, then every suite

check: install lint types unit catalog ## the gate: format, lint, imports, types, unit tests, rules and playbooks

lint: install ## format, ruff and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: install ## mypy --strict over the three packages
	$(BIN)/mypy --strict -p midwatch -p actors -p serve

unit: install ## milliseconds each, no process but this one
	$(PYTEST) -q tests/unit --timeout=60 $(PARALLEL)

catalog: install ## rules and playbooks: schema, cross-references, the examples they carry
	$(BIN)/midwatch rules check
	$(BIN)/midwatch playbooks check

contract: install ## the same suite over the in-memory twins and the real stores
	$(PYTEST) -q tests/contract --timeout=120 $(PARALLEL)

integration: install ## adapters against local servers
	$(PYTEST) -q tests/integration --timeout=120

ray: install ## actors on a real local Ray
	$(PYTEST) -q tests/ray --timeout=180

e2e: install ## the whole line, alert to resolved
	$(PYTEST) -q tests/e2e --timeout=300

chaos-slice: install ## seeded slices of the kill walk, the storm and the gateways' storm
	$(PYTEST) -q tests/chaos --timeout=300

chaos: install ## 100 incidents under 50 kills of gateways, 300 under 200 of everything (long)
	$(BIN)/python tests/chaos/gateways.py --incidents 100 --kills 50
	$(BIN)/python tests/chaos/storm.py --incidents 300 --kills 200

system: install ## against Debian's Redis, Prometheus, Alertmanager and Chromium; what is missing is skipped
	$(PYTEST) -q tests/system --timeout=180

kill-walk: install ## kill every process between every two journal entries (long)
	$(BIN)/python tests/chaos/kill_walk.py

bench: install ## measure; JSON lines
	$(BIN)/python -m tests.bench

demo-check: ## fresh clone in a temporary folder: crash loop, approval, resolved, one mutation
	@python3 scripts/demo_check.py

doctor: ## is this machine fit? what is missing, what to do
	@scripts/doctor.sh

format: install ## format and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The committed locks seed their own refresh: a pin moves only when pyproject.toml asks, or with `make lock UPGRADE=1`.
LOCK := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url $(if $(UPGRADE),--upgrade) pyproject.toml
lock: install ## write both locks anew for Python 3.11-3.13, every platform, hashes, no index address
	$(LOCK) --group dev --output-file requirements-dev.lock
	$(LOCK) --constraint requirements-dev.lock --output-file requirements.lock

compose: ## app, PostgreSQL, Redis, Prometheus, Alertmanager and Grafana in containers
	@scripts/compose_env.sh
	docker compose up --build

image: ## the container image for every role
	docker build --tag midwatch .

clean: ## remove .venv and caches, keep your state directory
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
