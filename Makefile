# Every command that a developer needs. `make run` is the first, `make check` is what CI runs.
PY ?= python3
BIN := .venv/bin
export OROS_HOME ?= $(HOME)/.local/share/oros

.PHONY: run check format lint types contracts house test test-parts test-journeys test-data test-doors test-user fuzz crash bench-overhead bench-footprint bench-scheduler bench-drivers bench-local bench-sandbox bench-agentdojo bench-tasks bench-recall bench-memory bench-ingest bench-long bench-speech simulate mutants clean

# The main job, from nothing: environment, install, the model in the box, and a job on real files.
run: .venv/ready
	@$(BIN)/oros models pull
	@cd examples && ../$(BIN)/oros run "How many penguins of each species are in tables/penguins.csv? Write the counts to counts.csv with the columns species and count."

.venv/ready: pyproject.toml constraints.txt
	$(PY) -m venv .venv
	$(BIN)/python -m pip install -q -e '.[local,memory,files,dev]' -c constraints.txt
	@touch .venv/ready

check: lint types contracts house test test-data

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/ready
	$(BIN)/mypy

contracts: .venv/ready
	$(BIN)/lint-imports --no-cache

house: .venv/ready
	$(BIN)/python tools/house.py

# One order and one set of examples for one commit; `make fuzz` draws new ones.
SAME := --hypothesis-profile=check --randomly-seed=1

# Two halves that know nothing of each other: `make -j2 check` runs them side by side.
test: test-parts test-journeys

test-parts: .venv/ready
	$(BIN)/python -m pytest -q $(SAME) --ignore tests/journeys

test-journeys: .venv/ready
	$(BIN)/python -m pytest -q $(SAME) tests/journeys

# The properties with new examples and in a new order, `ROUNDS` times.
ROUNDS ?= 3
PROPERTIES := $(shell grep -rlE '^@given|RuleBasedStateMachine' tests --include='test_*.py')

fuzz: .venv/ready
	for n in $$(seq $(ROUNDS)); do $(BIN)/python -m pytest -q $(PROPERTIES) || exit 1; done

# What needs pandas, matplotlib, OCR or speech, in an environment that has those extras.
DATA_TESTS := tests/drivers/sandbox/zygote/test_data.py tests/services/run/test_cells.py tests/services/index/test_scans.py tests/services/index/test_speech.py tests/services/run/test_laundering.py::test_a_transcript_is_as_little_trusted_as_its_recording

.venv-data/ready: pyproject.toml constraints.txt
	$(PY) -m venv .venv-data
	.venv-data/bin/python -m pip install -q -e '.[dev,data,files,ocr,speech]' -c constraints.txt
	@touch .venv-data/ready

test-data: .venv-data/ready
	.venv-data/bin/python -m pytest -q $(SAME) $(DATA_TESTS)

# Other people's clients against our doors, each as it is, in an environment of their own.
CLIENTS := 'openai==3.57.0' 'anthropic==2.14.0' 'ollama==0.6.3' 'pydantic-ai-slim[anthropic,openai]==2.68.0' 'openai-agents==0.24.0' 'openresponses-types==2.4.0' 'openresponses-py==0.1.2' 'jsonschema==4.26.0'

.venv-doors/ready: pyproject.toml constraints.txt Makefile
	$(PY) -m venv .venv-doors
	.venv-doors/bin/python -m pip install -q -e '.[dev,files]' $(CLIENTS)
	@touch .venv-doors/ready

test-doors: .venv-doors/ready
	.venv-doors/bin/python -m pytest -q tests/doors

# The sandbox and the layers as an ordinary user, also where the checkout is root's; two minutes.
test-user: .venv/ready
	$(BIN)/python -m tests.as_user

# Longer proofs; each prints its figures.
crash: .venv/ready
	$(BIN)/python -m tests.crash --kills 300

# The monitor, mutated: each change of its logic must make a test fail; four minutes.
.venv-mutants/ready: pyproject.toml constraints.txt
	$(PY) -m venv .venv-mutants
	.venv-mutants/bin/python -m pip install -q -e '.[dev]' 'mutmut==3.8.1' -c constraints.txt
	@touch .venv-mutants/ready

mutants: .venv-mutants/ready
	.venv-mutants/bin/python tools/mutants.py

bench-overhead: .venv/ready
	$(BIN)/python -m bench.overhead

# Start, memory, a listing of ten thousand processes, each beside its bar; two minutes.
bench-footprint: .venv/ready
	$(BIN)/python -m bench.footprint

# A person behind batch work, then a crowd of 200 programs under three orders; twenty minutes.
bench-scheduler: .venv/ready
	$(BIN)/python -m bench.scheduler

# CPU per streamed token and per call, beside the vendor's SDK and an aggregator; ten minutes.
bench-drivers: .venv/ready
	$(BIN)/python -m bench.drivers

# The kernel in virtual time with random programs and faults; the check plays 2,000 seeds.
simulate: .venv/ready
	$(BIN)/python -m tests.simulation --seeds 10000

# The model in the box: load, read, write, cancel; then what preemption costs; five minutes.
bench-local: .venv/ready
	$(BIN)/python -m bench.local
	$(BIN)/python -m bench.local.preemption

# Programs in the sandbox, and their changes as layers; half a minute.
bench-sandbox: .venv/ready
	$(BIN)/python -m bench.sandbox

# A thousand mixed files through the index, and kill -9 amid them; two minutes.
bench-ingest: .venv/ready
	$(BIN)/python -m bench.ingest

# A recording through the model of speech: how fast, in what memory, how many words are wrong.
bench-speech: .venv-data/ready
	.venv-data/bin/python -m bench.speech

bench-agentdojo: .venv/ready
	$(BIN)/python -m bench.agentdojo

bench-tasks: .venv/ready
	$(BIN)/python -m bench.tasks

# What memory finds: on conversations of our own making, or on LoCoMo's (DATA=locomo10.json).
bench-recall: .venv/ready
	$(BIN)/python -m bench.recall $(if $(DATA),--data $(DATA))

# The store of memory beside three peers, and fifty kills; the peers take most of its half hour.
bench-memory: .venv/ready
	$(BIN)/python -m bench.memory

# Five hundred turns through a window of 4,096 tokens: what is still known; two minutes.
bench-long: .venv/ready
	$(BIN)/python -m bench.long

clean:
	rm -rf .venv .venv-data .venv-doors bench/.venvs bench/.out
