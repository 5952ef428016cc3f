# PYTHON is the interpreter of an environment with `pip install -e ".[dev]"`.
PYTHON ?= python

# On all cores; tests of one file stay together, since they share what was computed once.
PYTEST = $(PYTHON) -m pytest -n auto --dist loadfile

.PHONY: check lint types imports test quick docs

check: lint types imports test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

imports:
	PYTHONPATH=.:transformers $(PYTHON) -c "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"

test:
	$(PYTEST)

quick:
	$(PYTEST) -m "not slow"

# -E: pages of names that are new since the last build are found only without its cache.
docs:
	PYTHONPATH=.:transformers $(PYTHON) -m sphinx -E -W --keep-going -b html docs docs/_build/html
