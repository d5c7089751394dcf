# Everything a developer needs: `make demo`, `make test`, `make check`. Needs python3 >= 3.11 only.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INSTALL := $(BIN)/python -m pip install -c constraints.txt -e '.[dev]'

.PHONY: demo test check format api docs lock audit wheel clean help

help:
	@echo "make demo    map a real town, then simulate a small world, train on it, map it (offline, some minutes)"
	@echo "make test    make check, then all tests"
	@echo "make check   ruff, mypy --strict, import-linter"
	@echo "make format  let ruff format and mend what it can; wrap the pages"
	@echo "make api     write docs/api.md and docs/reference/ from the code"
	@echo "make docs    build the documentation: build/site/index.html (offline)"
	@echo "make lock    write constraints.txt and docs/licences.md from what is installed"
	@echo "make audit   look up known vulnerabilities of constraints.txt (asks the package index)"
	@echo "make wheel   build dist/swath-*.whl and .tar.gz"
	@echo "make clean   remove the virtual environment and all caches"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"swath needs Python 3.11 or newer, {sys.executable} is {v[0]}.{v[1]}; run: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(if $(wildcard $(STAMP)),,--clear) $(VENV)
	@echo "installing about 3 GB into $(VENV): some minutes without a word (more without PIP_EXTRA_INDEX_URL, see docs/install.md)"
	@echo "$(INSTALL)"
	@$(INSTALL) --disable-pip-version-check --quiet || { echo "pip failed; to see more of it: $(INSTALL)"; exit 1; }
	@touch $@

demo: $(STAMP)
	$(BIN)/swath demo --out demo --overwrite

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python docs/prose.py

api: $(STAMP)
	$(BIN)/python docs/api.py
	$(BIN)/python docs/reference.py

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "build/site/index.html"

lock: $(STAMP)
	$(BIN)/python docs/dependencies.py

audit: $(STAMP)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit
	$(VENV)/audit/bin/pip-audit -r constraints.txt --no-deps --disable-pip

wheel: $(STAMP)
	$(BIN)/python -m hatchling build

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
