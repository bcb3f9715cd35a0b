# Two commands matter: `make demo` and `make test`. Each does its own set-up. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := protocol keys node exchange
WORKERS ?= 2

# Programs that tests start are compiled once. The compiled files stand apart from the sources.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/compiled
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-fast api-long files-long kill-long desk-long desk-service-long guide-long cases-long web-long pictures check bench mutate lint types layers peers setup setup-dev requirements clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: setup ## run the main job: two nations, two desks, an auditor, all on this machine
	@$(BIN)/comity demo

# A file's tests stay on one worker, since they share what is costly to make; the longest files come first.
PYTEST = TMPDIR=$$(./tests/scratch-folder) $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: setup-dev peers ## run every test
	@$(PYTEST)

test-fast: setup-dev ## run the tests for the inner loop: no processes, no connections, within a minute
	@$(PYTEST) --fast tests/unit tests/property

guide-long: setup-dev ## the officer guide from top to bottom, each command a program at a pseudo-terminal
	@COMITY_TYPED_AT=terminal $(BIN)/python -m pytest -q tests/e2e/test_officer_guide.py

kill-long: setup-dev ## nodes and desks under load, killed, stopped and refused at random: nothing lost, doubled or forked (KILLS=770)
	@$(BIN)/python -m tests.faults.kill_long --kills $${KILLS:-770} --seed $${SEED:-1}

desk-long: setup-dev ## many commands of eight programs on one desk, some of them killed: nothing refused, lost or doubled
	@COMITY_DESK_ROUNDS=$${ROUNDS:-12} COMITY_DESK_SEED=$${SEED:-1} $(BIN)/python -m pytest -q tests/faults/test_desk_programs.py

files-long: setup-dev ## 20 GiB over two nodes with kills at random (GIB=20; it says what disk it needs)
	@$(BIN)/python -m tests.faults.files_long --gib $${GIB:-20} --kills $${KILLS:-12} --seed $${SEED:-1} --folder $${FOLDER:-/var/tmp}

cases-long: setup-dev ## cases of three to five nations against a second model, for some minutes (CASES=1500)
	@COMITY_CASES=$${CASES:-1500} $(BIN)/python -m pytest -q tests/property/test_cases.py

desk-service-long: setup-dev ## programs of three officers on one running desk that is killed five times in a minute: nothing lost or doubled
	@COMITY_SERVICE_SECONDS=$${SERVICE_SECONDS:-60} COMITY_DESK_SEED=$${SEED:-1} $(BIN)/python -m pytest -q -s tests/faults/test_desk_service_kill.py

api-long: setup-dev ## every resource of the local API, with many requests that its document allows and forbids (EXAMPLES=100)
	@COMITY_API_EXAMPLES=$${EXAMPLES:-100} $(BIN)/python -m pytest -q tests/hostile/test_api_schema.py

web-long: setup-dev peers ## the pages in a browser: the main job in all six languages, without script, by the keyboard alone; every page in every language
	@COMITY_WEB=long $(BIN)/python -m pytest -q -s -rs tests/e2e/test_web_*.py tests/e2e/test_console.py

pictures: setup-dev ## make the pictures of the guides anew in docs/images (needs chromium and pngquant)
	@COMITY_PICTURES=$(CURDIR)/docs/images $(BIN)/python -m pytest -q tests/e2e/test_web_pictures.py
	@pngquant --force --skip-if-larger --strip --ext .png --speed 1 docs/images/*.png

check: setup-dev lint types layers test ## everything that must hold before a change lands

bench: setup-dev ## one table: every figure, its floor, peers where they can be had (BENCH="--rounds 1 --quick": does it work)
	@$(BIN)/python -m benchmarks.table $(BENCH)

mutate: export PYTHONDONTWRITEBYTECODE := 1
mutate: setup-dev ## take guards of the security core away, one at a time, and name those that no test misses
	@$(BIN)/python -m tests.mutation.run $(MUTATE)

lint: setup-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup-dev
	@$(BIN)/mypy

layers: setup-dev
	@$(BIN)/lint-imports

peers: setup-dev ## the independent implementations that tests compare with
	@./tests/interop/install-peers

setup: $(VENV)/.runtime
setup-dev: $(VENV)/.dev

# The environment holds exactly the pinned packages; a stamp says for which pins it was made.
$(VENV)/.runtime: requirements/runtime.txt pyproject.toml
	@./deploy/make-venv $(VENV) requirements/runtime.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	@./deploy/make-venv $(VENV) requirements/dev.txt
	@touch $(VENV)/.runtime $@

requirements: ## write the hash-pinned requirement files anew (needs uv)
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --upgrade \
		pyproject.toml requirements/build.in -o requirements/runtime.txt
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --upgrade \
		--extra dev -c requirements/runtime.txt pyproject.toml requirements/build.in -o requirements/dev.txt
	for peer in case cwt moto pymerkle lists; do \
		uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --upgrade \
			requirements/$$peer.in -o requirements/$$peer.txt; \
	done

clean: ## remove what the targets made
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
