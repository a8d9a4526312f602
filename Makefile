# Two commands do all set-up: `make demo` and `make test`. `make check` is what every commit passes.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# One thread per process: the tests run side by side.
TEST_ENVIRONMENT := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
PYTEST_WORKERS ?= 4

.PHONY: help setup demo docs picture test check lint format peers validate results-page gallery demo-bundle verify-phantom bench torture fuzz soak lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.installed ## virtual environment with everything, from the hashed lock file

$(VENV)/.installed: requirements-dev.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "installing the locked packages (torch with its CUDA libraries is about 5 GB; a few minutes)"
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## the main job end to end on a phantom patient; results in demo-output/
	$(BIN)/spinenode demo --out demo-output

test: setup peers ## all tests, with real peers where they can be installed
	$(TEST_ENVIRONMENT) $(BIN)/pytest -n $(PYTEST_WORKERS) --dist worksteal -r sEf $(PYTEST_OPTIONS)

lint: setup ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## everything a commit must pass

format: setup ## rewrite the files in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

peers: ## Debian packages of the real peers and validators that the tests ask, and OHIF's pages
	@sh tests/system/install_peers.sh
	@sh tests/system/fetch_ohif.sh

validate: setup peers ## every validator on every object of the whole matrix of reports, PixelMed too (some minutes)
	$(TEST_ENVIRONMENT) SPINENODE_TEST_WHOLE_MATRIX=1 $(BIN)/pytest -n $(PYTEST_WORKERS) --dist worksteal -rs \
	  tests/node/report/test_report_matrix.py

docs: setup ## the tables of the conformance statement, from the code
	$(BIN)/python -m node.conformance docs/conformance.md

picture: demo ## renew the README's picture from the demo
	mkdir -p docs/images && cp demo-output/pictures/case-1-summary-00.png docs/images/demo-summary.png

results-page: setup peers ## renew the pictures of docs/results.md: a phantom's report in DCMTK, Orthanc and OHIF
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.system.results_page

gallery: setup ## renew the phantom's pictures of docs/phantom.md
	OMP_NUM_THREADS=1 $(BIN)/python -m inference.phantom.gallery

demo-bundle: setup ## train the demo bundle again on the phantom and measure it (some two hours on 4 CPU cores): REAL_STUDY
	OMP_NUM_THREADS=1 $(BIN)/python -m inference.wff.demo_bundle --out inference/bundles/wff-demo-phantom $(if $(REAL_STUDY),--real-study $(REAL_STUDY))

verify-phantom: setup ## what the phantom proves: items (a)-(j), trained and measured on the spot (some hours on 4 CPU cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m inference.wff.phantom_verification --out runs/verify-phantom

bench: setup ## benchmarks: ratios measured side by side in one run
	$(BIN)/python -m bench

# The long forms of tests/torture and tests/fuzz, and the soak: minutes to an hour each, on a machine that does nothing else.
ROUNDS    ?= 1000
DATASETS  ?= 1000000
STREAMS   ?= 100000
INSTANCES ?= 100000
JOBS      ?= 3
SEED      ?= 1

torture: setup peers ## crashes, power cuts and full disks against a real node: ROUNDS, JOBS, SEED (root, for the disks)
	$(TEST_ENVIRONMENT) $(BIN)/python -m tests.torture --rounds $(ROUNDS) --jobs $(JOBS) --seed $(SEED)

fuzz: setup ## mutated data sets and streams against the receiver: DATASETS, STREAMS, JOBS, SEED
	$(TEST_ENVIRONMENT) $(BIN)/python -m tests.fuzz --data-sets $(DATASETS) --streams $(STREAMS) --jobs $(JOBS) --seed $(SEED)

soak: setup ## INSTANCES through one node: memory of each process, database and files per instance
	$(TEST_ENVIRONMENT) $(BIN)/python -m bench.soak --instances $(INSTANCES)

lock: setup ## hashed lock files from setup.cfg
	$(BIN)/uv pip compile setup.cfg --extra postgresql --python-version 3.11 --generate-hashes --no-header --quiet \
	  -o requirements.lock
	$(BIN)/uv pip compile setup.cfg --extra dev --python-version 3.11 --generate-hashes --no-header --quiet \
	  -c requirements.lock -o requirements-dev.lock

clean: ## remove what the commands above made (the virtual environment stays)
	rm -rf demo-output build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
