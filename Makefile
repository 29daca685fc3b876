# Everything a newcomer types. Each target makes its own environment first.
# PYTHON=python3.12 picks an interpreter (3.11, 3.12 or 3.13); VENV=dir puts the environment elsewhere.
VENV ?= .venv
PYTHON ?=
RUN := $(VENV)/bin/python
DEMO := runs/demo
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help setup setup-dev demo test lint format bench paper-mini clean
.DEFAULT_GOAL := help

help:  ## what can be typed
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{ printf "make %-12s %s\n", $$1, $$2 }'

setup:  ## the environment that training and colouring need
	@tools/setup.sh $(VENV) "$(PYTHON)" requirements.txt

setup-dev:  ## the same with what the tests need
	@tools/setup.sh $(VENV) "$(PYTHON)" requirements.txt requirements-dev.txt

demo: setup  ## draw rooms, train on them, colour rooms never seen; at most 10 minutes on 2 cores
	@rm -rf $(DEMO) exports/demo outputs/demo
	$(RUN) -m data.convert --source=rooms --max_images=8000 --image_size=32 --val_fraction=0.02 --overwrite --output=datasets/demo
	$(RUN) train.py --flagfile=configs/demo.flags --data=datasets/demo --run_dir=$(DEMO)
	$(RUN) export.py --run_dir=$(DEMO) --model_dir=exports/demo
	$(RUN) -m data.draw --count=6 --size=256 --first=1000000 --output=outputs/demo/rooms
	$(RUN) colorize.py outputs/demo/rooms --model=exports/demo --n=6 --output=outputs/demo/coloured
	@echo
	@echo "pictures       outputs/demo/coloured/room-01000000-sheet.png and five more; $(DEMO)/samples shows how they came"
	@echo "TensorBoard    $(VENV)/bin/tensorboard --logdir=$(DEMO)/logs"
	@echo "export         exports/demo/1"

test: setup-dev lint  ## style check and all tests
	$(RUN) -m pytest

lint: setup-dev  ## style check
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: setup-dev  ## put the style right
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: setup-dev  ## the benchmarks that need no peers: training loop, input, converter; on an idle machine
	$(RUN) -m data.convert --source=rooms --max_images=4000 --overwrite --output=datasets/bench
	$(RUN) -m bench.train_step --data=datasets/bench --precision=float32
	$(RUN) -m bench.train_step --data=datasets/bench --precision=mixed_bfloat16
	$(RUN) -m bench.input --data=datasets/bench
	$(RUN) -m bench.convert

paper-mini: setup-dev  ## the paper's comparisons in miniature; an hour or more, resumable; writes docs/paper-mini.md
	$(RUN) paper_mini.py

clean:  ## remove what the demo made
	rm -rf $(DEMO) exports/demo outputs/demo datasets/demo
