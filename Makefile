# The same verbs for people and for CI. Everything runs inside .venv, made from requirements.lock.
PYTHON ?= python3
VENV ?= .venv
TESTERS ?= 2
TORCH ?= locked
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)

.PHONY: setup repro verify report as-published landmarks floor finding deploy report-page demo test attack check format lock clean

setup: $(VENV)/installed  ## install what is needed into .venv; TORCH=cpu: with torch's build for the CPU

$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.10 to 3.13 is needed: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@case "$(TORCH)" in locked | cpu) ;; *) echo "error: TORCH is $(TORCH): locked or cpu" >&2; exit 2 ;; esac
ifeq ($(TORCH),cpu)
	@# Of one version pip prefers the build for the CPU, where an index that it is configured with has one: it has the
	@# local version "+cpu", which is the higher one. Its hash is not in the lock; all others are checked.
	awk '/^torch(vision)?==/ {sub(/ *\\$$/, ""); print}' requirements.lock > $(VENV)/torch.txt
	awk '/^[a-z]/ {keep = !/^(torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z0-9-]*)==/} keep' requirements.lock > $(VENV)/others.txt
	$(BIN)/python -m pip install --quiet --no-deps -r $(VENV)/torch.txt
	$(BIN)/python -c 'import importlib.metadata as m, sys; v = m.version("torch"); sys.exit("+cpu" not in v and f"error: pip found torch {v}, no build for the CPU: configure an index that has it (pip config set global.extra-index-url ...)")'
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(VENV)/others.txt
else
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
endif
	@touch $@

repro: setup  ## run the whole experiment; only what changed runs again
	python -m pipeline.mend
	dvc repro
	@cat metrics/table.md

report: setup  ## the report's encoders and datasets, done right; fetches weights and images
	python -m pipeline.preset experiment=report

as-published: setup  ## the report's encoders and datasets as they were published
	python -m pipeline.preset experiment=as_published

landmarks: setup  ## DINOv2 and CLIP on Revisited Oxford and Paris, queries cut to their boxes and whole
	python -m pipeline.preset experiment=landmarks

floor: setup  ## what each of the report's architectures gives untrained
	python -m pipeline.preset experiment=floor

finding: setup  ## what training, training mode and preprocessing do to one network
	python -m pipeline.preset experiment=finding

deploy: setup  ## how small one network's features can be before the loss can be told from noise
	python -m pipeline.preset experiment=deploy

verify: setup  ## do the results made here equal those that are committed?
	python -m pipeline.verify

report-page: setup  ## plots/report/index.html: all results to explore, without a network
	python -m pipeline.mend
	dvc repro page
	@echo "open $(abspath plots/report/index.html)"

demo: setup  ## search by your own image in a browser, on this machine only
	python -m pipeline.demo

test: setup  ## run the tests, divided among TESTERS processes
	pytest -n $(TESTERS)

MINUTES ?= 60
TABLE ?=
attack: setup  ## hostile inputs, kills and full disks for MINUTES minutes; TABLE=file for its table in Markdown
	python -m tests.attack --minutes $(MINUTES) $(if $(TABLE),--table $(TABLE))

check: setup  ## lint, formatting, types, who imports whom
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache --no-logo

format: setup  ## mend what lint and formatting can mend
	ruff check --fix .
	ruff format .

lock:  ## resolve pyproject.toml anew into requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra pipeline --extra dev --universal --python-version 3.10 --generate-hashes --no-header --upgrade -o requirements.lock

clean:  ## remove what the experiment made, except DVC's cache
	rm -rf data/code data/prepared data/rankings data/titles data/weights features/*/ metrics/costs metrics/per_query metrics/similarities plots/gallery plots/export plots/figures plots/report plots/show multirun outputs dvc_plots
