# Everything runs in .venv, which the first target that needs it makes by itself.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
INSTALLED := .venv/installed
.DEFAULT_GOAL := help

.PHONY: help install demo explore serve test test-slow api-contract coverage check format docs bench \
  screenshots bench-embedder bench-index bench-live bench-served phantom-encoder phantom-retrieval bench-studies clean
help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 19

install: $(INSTALLED)  ## make .venv with everything pinned in requirements.lock

$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "angioatlas needs Python 3.11 or later; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint requirements.lock torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[cpu,movies,ray,dev]'
	$(BIN)/python -m pip check
	touch $@

DEMO ?= angioatlas-demo
demo: $(INSTALLED)  ## write phantom angiograms, embed and ask them; minutes, no network
	$(BIN)/angioatlas demo --folder $(DEMO)

explore: $(INSTALLED)  ## open the demo in a browser (make demo first)
	@test -d $(DEMO)/store || { echo "there is no demo in $(DEMO): make demo"; exit 1; }
	$(BIN)/angioatlas dashboard --store $(DEMO)/store

PORT ?= 8000
serve: $(INSTALLED)  ## serve the demo over HTTP at this machine, without keys (make demo first)
	@test -d $(DEMO)/store || { echo "there is no demo in $(DEMO): make demo"; exit 1; }
	$(BIN)/angioatlas serve --store $(DEMO)/store --insecure-local --port $(PORT)

# File by file, in their order: the long ones come first, so that none is waited for at the end.
SPREAD := -n 2 --dist loadfile --no-loadscope-reorder
test: $(INSTALLED)  ## run the default tests (offline, CPU)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD)

test-slow: $(INSTALLED)  ## run the long tests: fuzzing, many kills, large stores
	$(BIN)/python -m pytest -m slow -o timeout=3600 --durations=25

api-contract: $(INSTALLED)  ## send the API 20,000 requests made from its description; half an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n 2 --dist load -rP tests/property/test_api_contract.py

coverage: $(INSTALLED)  ## run the default tests and measure branch coverage (floor 90 %)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD) --cov --cov-fail-under=90

check: $(INSTALLED)  ## lint, types, import direction, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m angioatlas.cli.reference --check docs
	$(BIN)/python -m api.reference --check docs

format: $(INSTALLED)  ## format the code and sort imports
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(INSTALLED)  ## write the generated pages of docs/
	$(BIN)/python -m angioatlas.cli.reference --write docs
	$(BIN)/python -m api.reference --write docs

screenshots: $(INSTALLED)  ## take pictures of the explorer on the demo; needs chromium
	$(BIN)/python -m benchmarks.screenshots --demo $(DEMO)

bench: $(INSTALLED)  ## measure decoding, embedding and search; writes benchmarks/results
	$(BIN)/python -m benchmarks.run

bench-embedder: $(INSTALLED)  ## measure the batch embedder end to end, its memory and its resuming; half an hour, gigabytes
	OMP_WAIT_POLICY=passive $(BIN)/python -m benchmarks.pipeline --record
	OMP_WAIT_POLICY=passive $(BIN)/python -m benchmarks.pipeline --encoder mvit --repeats 1 --record
	OMP_WAIT_POLICY=passive $(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.resume

bench-index: $(INSTALLED)  ## measure kinds of index on 200,000 and 1,000,000 vectors; an hour
	$(BIN)/python -m benchmarks.index_kinds
	$(BIN)/python -m benchmarks.index_kinds --rows 1000000

bench-live: $(INSTALLED)  ## measure a live Atlas of 200,000 studies; some minutes
	$(BIN)/python -m benchmarks.live --record

bench-served: $(INSTALLED)  ## measure a server of 200,000 studies, asked by 16 clients; ten minutes
	$(BIN)/python -m benchmarks.served --record

PHANTOM_WORK ?= build/phantom-mini
# glibc hands large blocks back to the system after every step and fetches them again: 15 % slower.
KEEP_MEMORY := MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=4000000000
phantom-encoder: $(INSTALLED)  ## make the weights of phantom-mini; long, gigabytes of disk
	$(KEEP_MEMORY) $(BIN)/python -m angioatlas.phantom_mini --work $(PHANTOM_WORK)

phantom-retrieval: $(INSTALLED)  ## evaluate phantom-mini on unseen phantoms; long, gigabytes
	$(BIN)/python -m benchmarks.phantom_retrieval --work $(PHANTOM_WORK)/evaluation
	$(BIN)/python -m benchmarks.hybrid_search --work $(PHANTOM_WORK)/evaluation

bench-studies: $(INSTALLED)  ## simulate, time and hold against truth what studies say; long
	$(BIN)/python -m benchmarks.survival_coverage
	$(BIN)/python -m benchmarks.lvef_coverage
	$(BIN)/python -m benchmarks.progression_coverage
	$(BIN)/python -m benchmarks.progression_course
	$(BIN)/python -m benchmarks.survival_at_scale
	$(BIN)/python -m benchmarks.outcomes_like --cohorts 60 --work $(PHANTOM_WORK)/evaluation
	$(BIN)/python -m benchmarks.phantom_survival --work $(PHANTOM_WORK)/evaluation
	$(BIN)/python -m benchmarks.phantom_progression --work $(PHANTOM_WORK)/evaluation
	$(BIN)/python -m benchmarks.phantom_probes --work $(PHANTOM_WORK)/evaluation

clean:  ## remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
