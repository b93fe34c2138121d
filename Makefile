# make demo and make test each do all set-up on a fresh machine by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
TEST_PROCESSES ?= 4
TORCH ?= torch==2.14.1 torchvision==0.29.1

.PHONY: install demo test axe chaos check docs bench lock clean

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
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup $(PYTEST_ARGS)

# What the test of the report's accessibility needs; it is skipped without.
axe:
	npm install --prefix tests/report --no-package-lock --no-audit --no-fund --silent

# The whole table of kills and faults, of which `make test` runs a part; takes about an hour.
chaos: install
	$(BIN)/python -m tests.chaos

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as a site, in build/site.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Measures everything that docs/performance.md claims, and writes its tables; takes hours on an idle machine.
bench: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

# Resolved anew in an environment of its own. torch and torchvision are named, since they must match.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet $(TORCH) ".[dev]"
	( echo "# Resolved on Linux x86_64, Python 3.11, by: make lock"; \
	  build/lock/bin/python -m pip freeze --exclude sweeper ) > requirements.lock

clean:
	rm -rf $(VENV) build dist *.egg-info sweeper.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf mlflow.db mlflow.db-* optuna.db optuna.db-* mlruns .sweeper reports
	rm -rf tests/report/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
