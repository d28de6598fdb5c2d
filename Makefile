# One place for every command a developer needs. `make check` is what CI runs.
PY ?= python3
BIN := .venv/bin

.venv/ready: pyproject.toml constraints.txt
	$(PY) -m venv .venv
	$(BIN)/pip install -q -e '.[local,dev]' -c constraints.txt
	@touch .venv/ready
