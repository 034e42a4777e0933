# One task runner. `make help` lists what there is.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= results
CORES  ?= 2
# Where pip finds CPU builds of torch beside PyPI, and, for `make setup-cuda`, CUDA builds.
TORCH_CPU_INDEX  ?= https://download.pytorch.org/whl/cpu
TORCH_CUDA_INDEX ?= https://download.pytorch.org/whl/cu130
# A space at the end of a line, or a mark that a merge left.
UNTIDY := [ ]$$|^(<{7}|>{7})[ ]
DATA   ?= $(or $(PARASPINAL_DATA),../shared/data)

.DEFAULT_GOAL := help
.PHONY: help setup setup-cuda demo run status test test-slurm check config docs train evaluate benchmark clean

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(VENV)/.complete ## create the environment from the lock file (CPU)

$(VENV)/.complete: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; name it with PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@# Only torch needs a second index; asking it for every package would cost minutes where it cannot be reached.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --retries 2 --extra-index-url $(TORCH_CPU_INDEX) \
	  "$$(grep '^torch==' requirements.lock)"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q workflow/paraspinal
	@touch $@

setup-cuda: ## the same environment with the CUDA build of torch, for a machine with a GPU
	$(PYTHON) -m venv $(VENV)
	@# torch first, with its own libraries; everything else is as in the lock file.
	$(BIN)/pip install --disable-pip-version-check --extra-index-url $(TORCH_CUDA_INDEX) \
	  "$$(sed -nE 's/^(torch==[0-9.]+)\+cpu$$/\1/p' requirements.lock)"
	grep -v '^torch==' requirements.lock > $(VENV)/rest.lock
	$(BIN)/pip install --disable-pip-version-check --no-deps -r $(VENV)/rest.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.complete

demo: setup ## write a phantom cohort as DICOM and turn it into tables and a report
	$(BIN)/paraspinal demo --out $(OUT) --cores $(CORES)

run: setup ## the same for your data: make run DICOM=/path/to/images OUT=/path/to/results
	@test -n "$(DICOM)" || { echo "make run DICOM=<folder> [OUT=<folder>]" >&2; exit 2; }
	$(BIN)/paraspinal run "$(DICOM)" --out "$(OUT)" --cores $(CORES) $(if $(CONFIG),--config "$(CONFIG)")

status: setup ## what is done in OUT, and what is not and why
	$(BIN)/paraspinal status --out "$(OUT)"

test: setup ## every test but those on a cluster; says how much of the package they run in their own processes
	$(BIN)/pytest -n $(CORES) --dist loadfile --ignore tests/slurm --cov --cov-report=
	@echo "lines of the package that the tests run in their own processes: $$($(BIN)/coverage report --format=total) %"

test-slurm: setup ## both cluster profiles on a Slurm of their own (apt-get install slurmctld slurmd slurm-client munge)
	SLURM_REQUIRED=1 $(BIN)/pytest -n 0 tests/slurm

check: setup ## lint, format and types; the same as the hooks of .pre-commit-config.yaml
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --lint --snakefile workflow/Snakefile
	$(BIN)/mypy
	@git grep --no-index --exclude-standard -nIE '$(UNTIDY)'; test $$? = 1

docs: setup ## draw docs/architecture.svg anew from the code
	$(BIN)/python docs/draw_architecture.py

config: setup ## write config/config.yaml and its schema from workflow/paraspinal/core/settings.py
	$(BIN)/python -m paraspinal.core.config_files

train: setup ## rebuild the shipped weights from synthesis, or your own: make train SHEET=cohort.tsv [LABELS=values.tsv] [OUT=<folder>]
ifdef SHEET
	$(BIN)/snakemake train --cores $(CORES) --config out="$(OUT)" \
	  'train={"cohort_sheet": "$(SHEET)", "label_sheet": "$(LABELS)"}'
else
	OMP_NUM_THREADS=1 $(BIN)/paraspinal train muscles --out .train/muscles & \
	OMP_NUM_THREADS=1 $(BIN)/paraspinal train spine --out .train/spine & wait
endif

evaluate: setup ## measure the shipped weights on real labelled images in DATA
	$(BIN)/paraspinal evaluate --data "$(DATA)"

benchmark: setup ## measure speed and memory; writes benchmarks/*.json
	$(BIN)/python benchmarks/measure.py

clean: ## remove the environment and everything the demo made
	rm -rf $(VENV) .demo
