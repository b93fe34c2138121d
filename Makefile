# make demo and make test each do all set-up on a fresh machine by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: install demo test check lock clean

install: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: install
	$(BIN)/sweeper start studies/digits/mlp.yaml --workers $(WORKERS)
	$(BIN)/sweeper best digits-mlp --top 5
	$(BIN)/sweeper report digits-mlp --out reports/digits-mlp
	@echo
	@echo "Browse the runs:  $(BIN)/sweeper ui"

test: install
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: install
	$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --extra dev --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist *.egg-info sweeper.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf mlflow.db mlflow.db-* optuna.db optuna.db-* mlruns .sweeper reports
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
