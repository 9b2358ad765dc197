# make demo: simulate, reconstruct, evaluate, report.   make test: everything that must hold.
# Each target sets up all it needs in $(VENV) on a fresh machine.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
INPUTS := pyproject.toml constraints.txt

.PHONY: demo test lint types docs bench clean

demo: $(VENV)/.demo
	$(BIN)/hitloom demo eggnet

# one worker for each core, one thread for each worker
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks docs/scripts
	$(BIN)/ruff format --check src tests benchmarks docs/scripts
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/python docs/scripts/make_reference.py
	$(BIN)/mkdocs build --strict -q

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/knn.py
	$(BIN)/python benchmarks/clue.py
	$(BIN)/python benchmarks/candidate_graph.py
	$(BIN)/python benchmarks/dbscan.py
	$(BIN)/python benchmarks/eggnet.py
	$(BIN)/python benchmarks/interaction.py
	$(BIN)/python benchmarks/linking.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/pruning.py
	$(BIN)/python benchmarks/showers.py
	$(BIN)/python benchmarks/pruning_files.py
	$(BIN)/python benchmarks/segmentation.py
	$(BIN)/python benchmarks/shower_grouping.py

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	touch $@

# torch comes first and alone, so that no other package's wider range can choose its version
$(VENV)/.demo: $(VENV)/.venv $(INPUTS)
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e '.[sim]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) install -c constraints.txt -e '.[sim,export,log,dev]'
	touch $@

$(VENV)/.docs: $(VENV)/.demo
	$(PIP) install -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install -c constraints.txt -e '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) build dist site runs .pytest_cache .mypy_cache .ruff_cache
