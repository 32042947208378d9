# make run    train all ten implementations, live, show their losses side by side, write a report
# make test   the tests          make check   lint and types          make bench   benchmarks

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test check bench clean

run: $(INSTALLED)
	@$(BIN)/twolayer run --config configs/notebook.yaml; code=$$?; \
	if [ $$code -le 4 ] && [ $$code -ne 2 ]; then $(BIN)/twolayer report notebook; fi; exit $$code

test: $(INSTALLED)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache

bench: $(INSTALLED)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

$(INSTALLED): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
