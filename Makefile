# `make demo` and `make test` do all their own set-up; both may be repeated.
PYTHON ?= python3
VENV := .venv
SEED ?= 0

.PHONY: setup demo test test-slow soak mutants lint clean

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.txt setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[demo,tests]'
	touch $@

demo: setup
	$(VENV)/bin/python tools/demo.py --seed $(SEED)

test: setup
	$(VENV)/bin/python -m pytest

test-slow: setup
	$(VENV)/bin/python -m pytest -m slow

soak: setup
	$(VENV)/bin/python -m tests.soak

mutants: setup
	$(VENV)/bin/python -m tests.mutate

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
