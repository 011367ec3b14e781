#!/usr/bin/env bash
# Deploy the router to AWS, roll back, or delete it. Safe to run again. `./deploy.sh --help` lists all options;
# docs/deploying.md explains them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

scripts/venv.sh dev
exec .venv/bin/vibe deploy "$@"
