#!/usr/bin/env bash
# Deploy the router to AWS, or look after what is deployed. Safe to run again. `./deploy.sh --help` lists all it does;
# docs/deploying.md explains it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

scripts/venv.sh dev
exec .venv/bin/python -m vibe_cli.deploy "$@"
