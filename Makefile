# `make demo` and `make test` each set up what they need; a second run reuses what is there.
# GNU make 3.81 or later.

# The interpreter for .venv; left empty, the first of these that runs and is new enough is taken.
PYTHON ?=
PYTHONS := python3.11 python3.12 python3.13 python3 python

BIN := .venv/bin
# Its time says when .venv last fitted pyproject.toml and constraints.txt.
VENV := .venv/installed

DEMO := runs/demo

# Two OpenMP threads hinder each other in tensors as small as the tests'.
TEST_ENV := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1}
# Two processes share the files, in the order of tests/conftest.py: what a file sets up once is not set up twice.
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder

.DELETE_ON_ERROR:
.PHONY: help demo test lint format container-test clean

help:  ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	while IFS='|' read -r name text; do printf 'make %-16s %s\n' "$$name" "$$text"; done

demo: $(DEMO)/report.html  ## train, test and compare the three architectures on a generated corpus
	@echo "open $< in a browser"

test: lint  ## lint, then run the tests
	$(TEST_ENV) $(BIN)/python -m pytest $(IN_TWO)

lint: $(VENV)  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)  ## let ruff fix and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

container-test:  ## build the image and train in it (minutes, root; skipped where podman is missing)
	tests/container.sh

clean:  ## remove .venv and the tools' caches; runs/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	find seq2seq tests data_scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): pyproject.toml constraints.txt
	@python="$(PYTHON)"; \
	new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
	for name in $(PYTHONS); do \
		[ -z "$$python" ] && "$$name" -c "$$new_enough" >/dev/null 2>&1 && python="$$name"; \
	done; \
	if [ -z "$$python" ]; then \
		echo "make: no Python 3.11 or later among: $(PYTHONS); install one, or name it: make PYTHON=/path/to/python3" >&2; exit 2; \
	fi; \
	if ! "$$python" -c "$$new_enough"; then \
		echo "make: PYTHON=$$python does not run as Python 3.11 or later; name another" >&2; exit 2; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "make: $$python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; \
	fi; \
	set -x; "$$python" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# The script leaves a corpus that is the same as it is, and so this file's time and the models trained on it.
$(DEMO)/corpus/corpus.json: $(wildcard data_scripts/demo.py data_scripts/corpus_folder.py data_scripts/demo_grammar/*.py) | $(VENV)
	$(BIN)/python data_scripts/demo.py $(DEMO)/corpus

# What is done is not done again: the command goes on where it was stopped.
$(DEMO)/report.html: configs/compare/demo.yaml $(wildcard configs/demo/*.yaml) $(DEMO)/corpus/corpus.json
	$(BIN)/seq2seq compare $<
