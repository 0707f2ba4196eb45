# make demo   the whole job offline, on a made-up AniList
# make test   the linter, the type checker and all tests
# Without make, see the plain commands in README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_WAIT_POLICY := PASSIVE  # threads that wait without spinning leave the cores to others

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(BIN)/python prepare_dataset.py --sandbox --count 600
	$(BIN)/python load_users.py --sandbox
	$(BIN)/python train_model.py --sandbox --epochs 30 --hidden-size 64 --max-seq-len 100
	$(BIN)/python recommend.py --sandbox --user sandbox0001 --top-k 5
	@echo
	@echo 'Next: $(BIN)/python recommend.py --sandbox --user sandbox0002'

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile  # two at a time, each file whole: its tests share what is slow to make

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	touch $@

$(VENV)/installed-dev: requirements-dev.txt requirements.txt constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
