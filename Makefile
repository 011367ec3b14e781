# Everything a person does with this project, one word each. `make` alone lists them.
# Kept to what GNU Make 3.81 knows, which is what macOS has.
# ARGS= passes arguments on:  make routes ARGS="--dry-run"

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help start routes prices keys teams requests spend cooldowns import-litellm test test-dynamodb lint bench build sam-local smoke logs status screenshots audit lock clean

# What comes as NAME=... reaches programs by their environment, where no list of processes shows a key.
export PYTHON URL KEY STACK
ARGS ?=
ARCHITECTURE ?= arm64
PY := .venv/bin/python
COMMAND = scripts/venv.sh local && exec $(PY) -m vibe_cli

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

start: ## run the whole router on this machine, at http://127.0.0.1:4000/v1
	@scripts/venv.sh local
	@exec $(PY) -m local $(ARGS)

routes: ## check routes.yaml, show what would change, write it to the table (ARGS=...)
	@$(COMMAND) routes $(ARGS)

prices: ## fill the prices of routes.yaml from the genai-prices library (ARGS=--dry-run)
	@$(COMMAND) prices $(ARGS)

keys: ## make, list, change, block, rotate, delete virtual keys (ARGS="create --alias me")
	@$(COMMAND) keys $(ARGS)

teams: ## the same for teams of keys (ARGS=list)
	@$(COMMAND) teams $(ARGS)

requests: ## list requests, and tell why one went where it went (ARGS=list, ARGS="show ID")
	@$(COMMAND) requests $(ARGS)

spend: ## show what was spent, by model, deployment, key, team and day
	@$(COMMAND) spend $(ARGS)

cooldowns: ## list the deployments that rest, or clear them (ARGS=list, ARGS="clear --all")
	@$(COMMAND) cooldowns $(ARGS)

import-litellm: ## make a routes.yaml of a LiteLLM config (ARGS="config.yaml -o routes-new.yaml")
	@$(COMMAND) import-litellm $(ARGS)

test: ## run the tests, on all processors (ARGS="-k name" for some of them, ARGS=-n0 on one)
	@scripts/venv.sh dev
	@exec $(PY) -m pytest --numprocesses auto $(ARGS)

test-dynamodb: ## run the store's tests against AWS's DynamoDB Local (needs Java)
	@scripts/venv.sh dev
	@VIBE_ROUTER_DYNAMODB_LOCAL=1 exec $(PY) -m pytest tests/integration -m dynamodb $(ARGS)

lint: ## check the code: ruff, mypy, and which package may import which
	@scripts/venv.sh dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy .
	@.venv/bin/lint-imports --no-logo

audit: ## check template.yaml against AWS's security practice (checkov)
	@scripts/venv.sh checkov
	@.venv-checkov/bin/checkov --file template.yaml --framework cloudformation --compact --quiet --skip-download

bench: ## measure what the router costs: latency, cold start, memory (ARGS="--help")
	@scripts/venv.sh dev
	@exec $(PY) -m bench $(ARGS)

build: ## build the functions and layers for Lambda (ARCHITECTURE=arm64 or x86_64)
	@scripts/venv.sh dev
	@exec $(PY) -m scripts.build --architecture $(ARCHITECTURE) $(ARGS)

sam-local: ## run the built functions under `sam local start-api` (needs Docker)
	@scripts/venv.sh dev
	@exec $(PY) -m scripts.sam_local $(ARGS)

smoke: ## call every virtual model of a router (URL=... KEY=..., else the one of `make start`)
	@scripts/venv.sh local
	@exec $(PY) -m vibe_cli.commands.smoke $(ARGS)

logs: ## follow the decisions of a deployed stack (STACK=...), or `make start | make logs ARGS=--stdin`
	@scripts/venv.sh local
	@exec $(PY) -m vibe_cli.commands.logs $(ARGS)

status: ## show every deployment's cooldown, last error and traffic (STACK=..., else the local stack)
	@scripts/venv.sh local
	@exec $(PY) -m vibe_cli.commands.status $(ARGS)

screenshots: ## take the pictures of the admin page for the README (needs Chromium)
	@scripts/venv.sh dev
	@exec $(PY) -m scripts.screenshots $(ARGS)

lock: ## lock the newest versions that requirements/*.in allow
	@scripts/venv.sh dev
	@scripts/lock.sh $(ARGS)

clean: ## remove what was built, and the virtual environment
	rm -rf .venv .venv-checkov .aws-sam build .pytest_cache .mypy_cache .ruff_cache .hypothesis
