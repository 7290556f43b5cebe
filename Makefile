# Everything is set up on first use: packages in .venv, and tools, where a target needs any, in a cache that all checkouts
# share: $STREAMJOB_CACHE, or streamjob in $XDG_CACHE_HOME or ~/.cache. Nothing else outside this folder is touched.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test unit e2e lint verify generate format tools release images kind-load bench bench-kafka bench-nexmark bench-scale bench-cluster lock clean kind-up kind-down kind-from-source

help: ## Show this help
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' Makefile | expand -t 28

run: .venv/ready ## Run the word-count example on the embedded engine, from the beginning
	@rm -rf examples/word-count/.streamjob
	$(BIN)/streamjob run examples/word-count/streamjob.yaml

test: .venv/ready ## Lint, then every test that this machine can run; the others are skipped by name
	@$(BIN)/python -m scripts.run_tests

unit: .venv/ready ## The quick tests only
	$(BIN)/python -m pytest -n2 tests/unit tests/contract -k "not s3"

e2e: .venv/ready ## The tests on a real cluster only: the one that runs, or one made for them
	$(BIN)/python -m pytest tests/e2e

lint: .venv/ready verify ## Style, types and the doors between packages
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

verify: .venv/ready ## Fail if a generated file is not what the models say
	$(BIN)/python -m scripts.generate --check

generate: .venv/ready ## Write the generated files
	$(BIN)/python -m scripts.generate

format: .venv/ready ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

tools: .venv/ready ## Install the servers that tests need, into the cache
	$(BIN)/python -m scripts.tools minio helm postgres kafka hdfs registry

bench: .venv/ready ## Measure beside Spark (docs/performance.md); installs it into the cache
	@$(BIN)/python -m scripts.tools spark
	$(BIN)/python -m benchmarks.run

bench-kafka: .venv/ready ## Measure a job between two Kafka topics beside Spark (docs/performance.md)
	@$(BIN)/python -m scripts.tools kafka spark spark-kafka
	PYTHONPATH=tests $(BIN)/python -m benchmarks.kafka

bench-nexmark: .venv/ready ## Measure Nexmark's queries beside Flink (docs/performance.md); installs it into the cache
	@$(BIN)/python -m scripts.tools flink
	$(BIN)/python -m benchmarks.nexmark.run

bench-scale: .venv/ready ## Measure the operator with 1,000 StreamJobs on simulated nodes (docs/performance.md)
	@$(BIN)/python -m scripts.tools kubernetes etcd kwok
	$(BIN)/python -m benchmarks.scale

bench-cluster: .venv/ready ## Measure how soon a job on the kind cluster starts, and goes on (docs/performance.md)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.cluster

kind-up: .venv/ready ## Make the cluster of kind-config.yaml, with Docker and kind
	@$(BIN)/python -m scripts.kind up

release: .venv/ready verify ## Build the release of this commit into dist/ (IMAGES=no: without images)
	@$(BIN)/python -m scripts.tools helm
	@$(BIN)/python -m scripts.release

images: .venv/ready ## Build the images of operator and runtime (PYTHON_IMAGE=… for another base)
	$(BIN)/python -m scripts.images

kind-load: .venv/ready ## Bring these images to the nodes of the cluster
	$(BIN)/python -m scripts.images --load

kind-down: .venv/ready ## Remove that cluster, and the Docker engine if kind-from-source started it
	@$(BIN)/python -m scripts.kind down

kind-from-source: .venv/ready ## Make Docker engine and node image from packages; changes this machine (Debian, as root)
	@$(BIN)/python -m scripts.kind from-source

lock: .venv/ready ## Pin the newest allowed versions of all dependencies
	$(BIN)/python scripts/lock.py

clean: ## Remove what was set up here; says what it leaves, for other checkouts use it
	rm -rf .venv .streamjob build dist .tools  # the last: where tools were up to version 0.1
	@$(PYTHON) -m scripts.cache

.venv/ready: pyproject.toml requirements/dev.txt
	@$(PYTHON) scripts/environment.py
	@touch $@
