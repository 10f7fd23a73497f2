# `make demo` and `make test` do all their own set-up; both may be repeated.
PYTHON ?= python3
VENV := .venv
SEED ?= 0

.PHONY: setup demo test test-slow soak mutants lint docs clean

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.txt setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[demo,tests]'
	touch $@

demo: setup
	$(VENV)/bin/python tools/demo.py --seed $(SEED)

# A file's tests stay in one process: what its fixtures make is made once.
test: setup
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

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

# Material warns at every build that MkDocs 2 will have no plugins; setup.py stays below it.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --config-file docs/site/mkdocs.yml
	@echo 'work_dirs/site/index.html; with search: $(VENV)/bin/python -m http.server -d work_dirs/site'

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
