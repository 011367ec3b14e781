# Targets for people; `make` alone lists them. Compatible with GNU Make 3.81, which macOS has.
# ARGS= passes arguments on:  make routes ARGS="--dry-run"

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help start routes prices keys teams requests spend cooldowns complexity import-litellm status logs smoke test test-unit test-dynamodb coverage lint fix docs bench build sam-local sam-services screenshots audit lock clean

# Variables given as NAME=... reach programs through their environment, where lists of processes do not show a key.
export PYTHON URL KEY STACK
ARGS ?=
PY := .venv/bin/python
VIBE := scripts/venv.sh local && exec .venv/bin/vibe

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

start: ## run the whole router on this machine, at http://127.0.0.1:4000/v1
	@$(VIBE) start $(ARGS)

routes: ## check routes.yaml, show what would change, write it to the table
	@$(VIBE) routes $(ARGS)

prices: ## fill the prices in routes.yaml from the genai-prices library (ARGS=--dry-run)
	@$(VIBE) prices $(ARGS)

keys: ## create, list, change, block, rotate, delete virtual keys (ARGS="create --alias me")
	@$(VIBE) keys $(ARGS)

teams: ## create, list, change, block, delete teams of keys (ARGS=list)
	@$(VIBE) teams $(ARGS)

requests: ## list requests, and show how one was routed (ARGS=list, ARGS="show ID")
	@$(VIBE) requests $(ARGS)

spend: ## show spend by model, deployment, key, team and day
	@$(VIBE) spend $(ARGS)

cooldowns: ## list deployments on cooldown, or end cooldowns (ARGS=list, ARGS="clear --all")
	@$(VIBE) cooldowns $(ARGS)

complexity: ## route requests by complexity: score, train, evaluate (ARGS="score --input FILE")
	@$(VIBE) complexity $(ARGS)

import-litellm: ## convert a LiteLLM config to a routes.yaml (ARGS="config.yaml -o routes-new.yaml")
	@$(VIBE) import-litellm $(ARGS)

status: ## show every deployment's cooldown, last error and traffic (STACK=..., else the local stack)
	@$(VIBE) status $(ARGS)

logs: ## follow routing decisions (STACK=..., else the local stack)
	@$(VIBE) logs $(ARGS)

smoke: ## call every virtual model (URL=... KEY=..., else the local stack)
	@$(VIBE) smoke $(ARGS)

test: ## run the tests on all processors (ARGS="-k name" for some of them, ARGS=-n0 on one)
	@scripts/venv.sh dev
	@exec $(PY) -m pytest --numprocesses auto $(ARGS)

test-unit: ## run the unit tests, which start no router
	@scripts/venv.sh dev
	@exec $(PY) -m pytest --numprocesses logical tests/unit $(ARGS)

coverage: ## run the tests and report their coverage
	@scripts/venv.sh dev
	@exec $(PY) -m pytest --numprocesses auto --cov --cov-report=term:skip-covered $(ARGS)

test-dynamodb: ## run the store's tests against AWS's DynamoDB Local (needs Java)
	@scripts/venv.sh dev
	@VIBE_ROUTER_DYNAMODB_LOCAL=1 exec $(PY) -m pytest tests/integration -m dynamodb $(ARGS)

lint: ## check the code: ruff, mypy, and which package may import which
	@scripts/venv.sh dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy .
	@.venv/bin/lint-imports --no-logo

fix: ## fix what ruff can fix, and format
	@scripts/venv.sh dev
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

docs: ## write the pages and events that are generated from the code
	@scripts/venv.sh dev
	@$(PY) -m scripts.reference
	@$(PY) -m scripts.events

audit: ## check template.yaml against AWS security practice (checkov), and locked versions against advisories
	@scripts/venv.sh checkov
	@.venv-checkov/bin/python -m scripts.advisories
	@.venv-checkov/bin/checkov --file template.yaml --framework cloudformation --compact --quiet --skip-download

bench: ## measure the router's cost: latency, cold start, memory (ARGS="--help")
	@scripts/venv.sh dev
	@exec $(PY) -m bench $(ARGS)

build: ## build the functions and layers for Lambda
	@scripts/venv.sh dev
	@exec $(PY) -m scripts.build $(ARGS)

sam-local: ## run the built functions under `sam local start-api` (needs Docker)
	@scripts/venv.sh dev
	@exec $(PY) -m scripts.sam_local $(ARGS)

sam-services: ## serve the embedded AWS and stand-ins to `sam local` commands in another terminal (needs Docker)
	@scripts/venv.sh dev
	@exec $(PY) -m scripts.sam_local --services $(ARGS)

screenshots: ## take the README's pictures of the admin page (needs Chromium)
	@scripts/venv.sh dev
	@exec $(PY) -m scripts.screenshots $(ARGS)

lock: ## lock the newest versions that requirements/*.in allow
	@scripts/venv.sh dev
	@scripts/lock.sh $(ARGS)

clean: ## remove what was built, and the virtual environments
	rm -rf .venv .venv-build .venv-checkov .aws-sam build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
