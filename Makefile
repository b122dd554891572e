# `make book` and `make test` need Python 3.11 or newer and make, nothing else: they set up .venv first.
# `make help` lists every target.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first Python that is new enough; choose another with `make PYTHON=/path/to/python book`.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c "$(NEW_ENOUGH)" >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# Which PyTorch to install: auto (see tools/install.py), cpu, pypi, or arguments for pip.
TORCH ?= auto

VENV := .venv
PY := $(VENV)/bin/python
HTML := _build/html
BUILD := $(VENV)/bin/jupyter-book build . --path-output . --quiet -n --keep-going
# Each of the test workers computes with one thread: more would only get in one another's way.
WORKERS ?= 2
# What they free they keep: asking Linux again for each activation takes up to half of the time.
KEEP := MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=8000000000
PYTEST := OMP_NUM_THREADS=1 $(KEEP) $(PY) -m pytest -q -n $(WORKERS) --dist loadscope --no-loadscope-reorder

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | \
		awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

# --- Set-up: a stamp file says for which requirements it was done. ---

$(PY):
	@if [ -z "$(PYTHON)" ]; then \
		echo "This book needs Python 3.11 or newer; none was found as python3.13 ... python3."; \
		echo "Install one (python.org, apt install python3-venv, uv python install 3.12), or name it:"; \
		echo "  make PYTHON=/path/to/python3.12 book"; exit 1; fi
	@"$(PYTHON)" -c "$(NEW_ENOUGH)" || { echo "$(PYTHON) is older than Python 3.11."; exit 1; }
	@"$(PYTHON)" -c "import venv, ensurepip" 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(PY)
	@$(PY) tools/install.py --torch "$(TORCH)" requirements.txt
	@$(PY) -m tutorial_utils.weights || echo "No weights yet: the notebooks will ask for them again."
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the tools of the tests (about 0.2 GB)."
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(PY) tools/browser.py
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed-dev ## install everything into .venv, for the other targets

# --- The book. ---

WHEEL := dist/.built
$(WHEEL): pyproject.toml README.md $(shell find src benchmarks/results -type f -name "*.[jp]*") | $(VENV)/.installed
	@rm -rf dist
	@$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@touch $@

.PHONY: wheel
wheel: $(WHEEL) ## build dist/tutorial_utils-*.whl, to lay beside a notebook on another machine
	@ls dist/*.whl

.PHONY: book
book: $(VENV)/.installed $(WHEEL) ## build the book and say where it is
	@$(BUILD)
	@echo "The book is here: file://$(CURDIR)/$(HTML)/index.html"

.PHONY: pdf
pdf: book $(VENV)/.installed-dev ## print the whole book into one PDF
	@$(PY) tools/pdf.py
	@touch book/index.md
	@$(BUILD)

.PHONY: serve
serve: book ## build the book and serve it on http://localhost:8000
	$(PY) -m http.server --directory $(HTML) 8000

.PHONY: notebooks
notebooks: $(VENV)/.installed ## run what changed and store the outputs; one: NB=book/pooling.ipynb, all: NB=--all
	$(PY) tools/notebooks.py $(NB)

.PHONY: bench
bench: $(VENV)/.installed ## measure what the pages quote (hours); one of them: BENCH=benchmarks/NAME.py
	@failed=""; for file in $(or $(BENCH),$(wildcard benchmarks/*.py)); do \
		echo "$$file"; $(PY) "$$file" || failed="$$failed $$file"; done; \
	if [ -n "$$failed" ]; then echo "Not measured:$$failed"; exit 1; fi

# --- Tests. ---

.PHONY: lint
lint: $(VENV)/.installed-dev ## check the style of code and notebooks
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

.PHONY: nbval
nbval: $(VENV)/.installed-dev ## run every notebook again and compare every output, strictly
	$(PYTEST) --nbval book/

.PHONY: test
test: lint $(WHEEL) ## everything: lint, the book without warnings, notebooks, unit tests, browser
	@rm -rf $(HTML) _build/.doctrees
	$(PYTEST) --nbval book/ tests

.PHONY: test-fast
test-fast: lint ## for daily work: style and the unit tests that take no browser, no notebook run
	$(PYTEST) -m "not slow and not scheduled" tests --ignore-glob='tests/test_book*'

.PHONY: test-full
test-full: export SCHEDULED = 1
test-full: test ## the same as test, with the slow tests that otherwise run once a week

.PHONY: test-matrix
test-matrix: $(VENV)/.installed-dev ## the notebooks on other code paths of the processor, threads and orders
	$(PY) tools/matrix.py

# --- The rest. ---

.PHONY: address
address: $(VENV)/.installed ## stamp your copy's address everywhere: REPOSITORY=https://github.com/you/copy
	@$(if $(filter undefined,$(origin REPOSITORY)),$(error Say which: make address REPOSITORY=https://github.com/you/copy))
	$(PY) tools/address.py "$(REPOSITORY)"

.PHONY: clean
clean: ## remove everything that was built, the environment too
	rm -rf _build dist $(VENV) .pytest_cache .ruff_cache .hypothesis
