PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVICE := $(VENV)/.service
DEV := $(VENV)/.dev
LOCK := deploy/constraints.txt
# Old versions of pip apply PIP_CONSTRAINT to the build backend too, new ones PIP_BUILD_CONSTRAINT.
PIP := PIP_CONSTRAINT=$(LOCK) PIP_BUILD_CONSTRAINT=$(LOCK) \
	$(BIN)/python -m pip install --disable-pip-version-check
LOG := $(VENV)/install.log
QUIETLY := >$(LOG) 2>&1 || { tail -n 40 $(LOG) >&2; exit 1; }# print the output only on failure
SELF := .$(if $(shell command -v nvidia-smi 2>/dev/null),,[cpu])# with an engine for the CPU where it is needed

# Most tests wait for processes, so that two run side by side; each process computes in one thread.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses 2 \
	--dist loadfile --no-loadscope-reorder
ONE_BY_ONE := --dist worksteal# for tests that share nothing within their files
SUITES := test test-avx2 test-models test-processes test-failures test-fuzz test-e2e test-deploy \
	test-fleet

.NOTPARALLEL:
.PHONY: serve install check format constraints clean $(SUITES) test-all test-slow-host

serve: $(SERVICE)  ## Start the service on http://127.0.0.1:8000
	@echo 'Starting the service. Press Ctrl+C to stop it.'
	@$(BIN)/python -m app serve

install: $(SERVICE)  ## What `make serve` installs, without starting it
	@echo 'The service is installed in $(VENV). Start it with "make serve".'

test: $(DEV)  ## Run the tests, except those of the other targets named test-*
	$(PYTEST)

test-avx2: $(DEV)  ## Run the style and engine tests as on a processor with AVX2 and nothing newer
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) -m '' tests/style tests/engines

test-models: $(DEV)  ## Measure the shipped models on whole data sets, and train small ones
	$(PYTEST) -m models tests

test-processes: $(DEV)  ## Start, reload and stop services and commands
	$(PYTEST) $(ONE_BY_ONE) -m processes tests

test-failures: $(DEV)  ## Kill, stop and starve a service, and see that no job is lost
	$(PYTEST) $(ONE_BY_ONE) -m failures tests/jobs

test-e2e: $(DEV)  ## Use the page in Chromium, which has to be installed
	$(PYTEST) $(ONE_BY_ONE) -m e2e tests/e2e

test-fuzz: $(DEV)  ## Compare every answer with the OpenAPI document; FUZZ="--fuzz-seconds 3600"
	$(PYTEST) --numprocesses 0 -m fuzz tests/fuzz $(FUZZ)

test-deploy: $(DEV)  ## Install and run the image without a container engine, as root; and proxies
	$(PYTEST) -m deploy tests/deploy

test-fleet: $(DEV)  ## Work on a fleet's own servers, as far as they are installed
	$(PYTEST) -m fleet tests

test-all: $(SUITES)  ## Run every test

test-slow-host: $(DEV)  ## Run every test on half of one core: beside a busy loop on the same core
	@echo 'Running every suite on core 0, beside a busy loop. This takes about an hour.'
	@taskset --cpu-list 0 sh -c 'while :; do :; done' & busy=$$!; \
		trap "kill $$busy" EXIT; trap 'exit 130' INT TERM; \
		taskset --cpu-list 0 make --keep-going test-all

check: $(DEV)  ## Lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

UPGRADE := --upgrade
constraints:  ## Pin the newest versions in deploy/constraints.txt; UPGRADE= keeps the pinned ones
	@echo 'Installing uv in a temporary environment and resolving all dependencies.'
	@uv=$$(mktemp -d) && trap 'rm -rf "$$uv"' EXIT && $(PYTHON) -m venv "$$uv" \
		&& "$$uv/bin/python" -m pip install -qq --disable-pip-version-check uv \
		&& "$$uv/bin/uv" pip compile --quiet --no-cache --no-build --universal \
			--python "$$uv/bin/python" --python-version 3.11 --fork-strategy fewest $(UPGRADE) \
			--all-extras --no-annotate --custom-compile-command 'make constraints' \
			--output-file $(LOCK) pyproject.toml
	@echo '$(LOCK) is written. Run "make test" before you commit it.'

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { \
		echo 'Atelier needs Python 3.11 to 3.14, and $(PYTHON) is not one of them.' \
			'Name another one, for example: make serve PYTHON=python3.12' >&2; exit 1; }
	@echo 'Creating the environment $(VENV) with $(shell $(PYTHON) --version).'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(SERVICE): pyproject.toml $(LOCK) | $(BIN)/python
	@echo 'Installing the service. The first time, this takes some minutes: about'
	@echo '3.2 GB to download, and 6.4 GB in $(VENV). $(LOG) shows the progress.'
	@$(PIP) --editable '$(SELF)' $(QUIETLY)
	@touch $@

$(DEV): pyproject.toml $(LOCK) | $(BIN)/python
	@echo 'Installing the service and its tests. The first time, this takes some minutes: about'
	@echo '3.4 GB to download, and 7.2 GB in $(VENV). $(LOG) shows the progress.'
	@$(PIP) --editable '.[dev]' $(QUIETLY)
	@touch $@ $(SERVICE)
