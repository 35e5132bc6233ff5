# Everything starts here. `make demo` and `make test` need nothing done before.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test endurance lint docs viz mlflow notebooks pictures bench audit

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,docs]"
	touch $@

demo: setup
	$(BIN)/kedro run --env=demo --pipeline=final_model
	@echo "A photo for them        data/demo/01_raw/synthetic/images/001A29.JPG"
	@echo "Before these commands   source $(VENV)/bin/activate"

TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

test: setup
	$(TESTS) -m "not endurance"

# Damaged input by the thousand, runs that are killed, machines and disks that die, processes that get in each other's way, benchmarks.
endurance: setup
	$(TESTS) -m endurance

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Of the last run, with its environment and parameters.
viz: setup
	$(BIN)/python -m contrastive_age.running.last_run --host 127.0.0.1

mlflow: setup
	-MLFLOW_TRACKING_URI= $(BIN)/kedro show-runs
	MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --host 127.0.0.1 --backend-store-uri sqlite:///mlflow.db

notebooks: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[notebooks]"
	$(BIN)/kedro jupyter lab notebooks

# Those of the documents, and what the notebooks show: drawn faces, in Chromium.
pictures: setup
	rm -rf build/pictures
	$(BIN)/python docs/drawings.py
	$(BIN)/python -m docs.pictures

bench: setup
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m benchmarks

# Asks the Python Package Index, so it is no part of the tests.
audit: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip-audit
	$(BIN)/pip-audit --no-deps --disable-pip -r constraints.txt
