# make run    train all ten implementations, live, show their losses side by side, write a report
# make test   the tests          make check   lint and types          make bench   benchmarks

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# what running needs: less, unless all is there already
RUNNABLE := $(or $(wildcard $(INSTALLED)),$(VENV)/.runnable)

.PHONY: run test check bench clean
.NOTPARALLEL:

run: $(RUNNABLE)
	@$(BIN)/twolayer run; code=$$?; \
	case $$code in 0|3|4) $(BIN)/twolayer report notebook;; esac; exit $$code

test: $(INSTALLED)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache

bench: $(INSTALLED)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

$(VENV)/.runnable: EXTRA := report
$(INSTALLED): EXTRA := dev
$(VENV)/.runnable $(INSTALLED): pyproject.toml constraints.txt
	@echo "setting up $(VENV) with what '$(EXTRA)' needs (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRA)]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
