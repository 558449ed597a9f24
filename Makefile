# Everything stands on .venv, which `make venv` creates: a fresh machine needs only Python, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP_FLAGS ?=
TEST_ARGS ?=
VIDEO ?=
KERNELS := $(wildcard src/edgetam/engine/native/*.[ch])
POINT ?=

# Several OpenMP teams on few cores slow each other down by a factor of ten: one thread per test process.
TEST_ENV := OMP_NUM_THREADS=1

.PHONY: help venv demo test check format bench docs clean

help:
	@echo "make demo                      track an object through the bundled clip"
	@echo "make demo VIDEO=v.mp4 POINT=320,180   ... through your own"
	@echo "make test | check | format     tests | format, lint and types | fix format and lint"
	@echo "make bench | docs | clean      benchmarks | documentation in site/ | remove what make made"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("edgetam needs Python 3.10 or newer; this is %s. Try: make PYTHON=python3.11" % sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (the first time takes a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/edgetam demo $(if $(VIDEO),--video '$(VIDEO)') $(if $(POINT),--point '$(POINT)')

test: $(STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 $(TEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(KERNELS)

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(KERNELS)

bench: $(STAMP)
	$(BIN)/python -m benchmarks.tracking
	$(BIN)/python -m benchmarks.streaming_memory
	$(BIN)/python -m benchmarks.engines
	$(BIN)/python -m benchmarks.metrics
	$(BIN)/python -m benchmarks.training recipes/demo.yaml

docs: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site out/demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
