# Each target runs the set-up if needed. STACK=compat or STACK=current overrides the chosen stack.
.DEFAULT_GOAL := help
.PHONY: help setup browser run test test-all test-gates test-current lint format golden screenshots bench bench-full \
	bench-tables lock image clean
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
DOCKER := docker
BENCHMARK := PYTHONPATH=.:tests $(PYTHON) -m benchmarks
option = $(if $($(2)),--$(1) '$($(2))')

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install the locked packages and this project in .venv, if needed
	@sh stacks/install.sh

browser:
	@sh stacks/install_chromium.sh

run: setup ## Run the pipeline; takes DATA= EPOCHS= SERVING_DIR= PIPELINE_ROOT= ARGS=
	@$(PYTHON) -m pipeline run $(call option,data,DATA) $(call option,epochs,EPOCHS) \
		$(call option,serving-dir,SERVING_DIR) $(call option,pipeline-root,PIPELINE_ROOT) $(ARGS)

test: setup browser ## Run all tests except the slow ones; takes ARGS= for pytest
	@$(PYTHON) -m pytest -m "not slow" $(ARGS)

test-all: setup browser ## Run all tests
	@$(PYTHON) -m pytest $(ARGS)

test-gates: setup ## Try bad and honest models and data sets on the gates; one line per case
	@$(PYTHON) -m pytest tests/gates -q -rA $(ARGS)

test-current: ## Run `make test` on stack current in Debian 13 (needs root and debootstrap)
	@sh stacks/test_current.sh make test ARGS='$(ARGS)'

lint: setup ## Check style, types and layers
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format: setup ## Format the code and apply ruff's fixes
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

golden: setup ## Regenerate the tests' golden pipelines and the table of settings
	@PYTHONPATH=.:tests $(PYTHON) -m support.golden_pipelines

screenshots: setup browser ## Take the README's screenshots from the last run in output/
	@PYTHONPATH=.:tests $(PYTHON) -m support.screenshots $(ARGS)

bench: setup ## Compare with a plain script and stock TFX on 5,000 digits; takes ARGS=
	@$(BENCHMARK).bench_pipeline --data bundled --epochs 0.5 --target 0.95 $(ARGS)

bench-full: setup ## The same on MNIST, about an hour; takes ARGS=--resume
	@$(BENCHMARK).bench_pipeline --rounds 2 --seeds 5 --work output/benchmark-full \
		--output tests/benchmarks/results/full.json $(ARGS)
	@$(BENCHMARK).bench_results

bench-tables: setup ## Render tests/benchmarks/results/full.json into the README and docs
	@$(BENCHMARK).bench_results

lock: setup ## Update the lock files; takes ARGS=--upgrade
	@sh stacks/lock.sh $(ARGS)

image: ## Build the container image; takes IMAGE= BASE_IMAGE= DOCKER= and ARGS= for docker build
	@commit=$$(git describe --always --dirty --abbrev=40 --exclude '*') && \
	version=$$(sed -n 's/.*version="\(.*\)",/\1/p' setup.py) && \
	DOCKER_BUILDKIT=1 $(DOCKER) build --file kubeflow/Dockerfile \
		--tag $(or $(IMAGE),"mnist-pipeline:$$version-$$(echo "$$commit" | cut -c 1-12)") \
		$(if $(BASE_IMAGE),--build-arg BASE_IMAGE='$(BASE_IMAGE)') \
		--build-arg GIT_COMMIT="$$commit" --build-arg VERSION="$$version" $(ARGS) .

clean: ## Remove .venv and caches, but keep output/
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
