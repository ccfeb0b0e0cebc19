# Everything a person or the CI does; works on a bare machine with Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
GOLDEN ?= ../shared/golden

.PHONY: help setup demo test check golden weights format clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# uv, where it is installed, takes a third of pip's time. --group needs pip 25.1.
$(VENV)/.installed: pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
		uv pip install --quiet --python $(BIN)/python -e . --group dev; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$(BIN)/python -m pip install --quiet -e . --group dev; \
	fi
	@touch $@

setup: $(VENV)/.installed ## create .venv and install roadseg with its development tools

demo: setup ## run the main job on rendered streets and say where the pictures are
	$(BIN)/roadseg demo

# One thread per process: threads of several processes that wait for each other on the same cores take many times as long.
test: setup ## run the whole test suite, on all cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

check: setup ## lint, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

golden: setup ## compare every network with its numeric reference: make golden GOLDEN=folder
	$(BIN)/python -m tests.golden.check $(GOLDEN)

# Each stage starts from the averaged weights of the one before, in runs/; an interrupted one goes on where it stopped.
STAGES = "camvid --max-steps 2340" camvid-fine "camvid-refined --max-steps 1450" camvid-varied camvid-regions
LAST = runs/fast-scnn.camvid-regions/last.safetensors

weights: setup ## train the network that ships once more: make weights DATA=folder of CamVid
	@test -n "$(DATA)" || { echo "which CamVid? make weights DATA=folder" >&2; exit 2; }
	@for stage in $(STAGES); do \
		run=runs/fast-scnn.$${stage%% *}; \
		if [ -e $$run/last.pt ]; then resume=--resume; else resume=; fi; \
		$(BIN)/roadseg train fast-scnn.$$stage --data "$(DATA)" $$resume || exit; \
	done
	$(BIN)/roadseg evaluate --weights $(LAST) --data "$(DATA)" --split train+val --calibration --out runs/calibration.json
	$(BIN)/roadseg convert $(LAST) --half --calibration runs/calibration.json -o runs/fast-scnn.camvid-roadseg.safetensors

format: setup ## sort imports and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what setup, tests and builds leave behind
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
