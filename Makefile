# make demo   the whole job on the embedded base and a phantom cohort; the report's path is the last line
# make test   the tests
# make check  style, types, layers, tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: setup demo test lint check clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "latentdrift needs Python 3.11 or newer; give it as PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing into $(VENV): 2 to 4 minutes"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/latentdrift demo --out demo
	@echo $(abspath demo/report/report.html)

# Tests start many processes; compiled modules are kept, also where the environment forbids it.
# Small networks take and free the same memory at each step; glibc keeps up to 1 GB of it.
test: setup
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=33554432 \
	MALLOC_TRIM_THRESHOLD_=1073741824 $(BIN)/python -m pytest -n $(JOBS) -m "not slow"

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

clean:
	rm -rf $(VENV) demo
