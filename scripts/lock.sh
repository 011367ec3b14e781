#!/bin/sh
# Lock requirements/*.in with hashes, for every platform that pyproject.toml names.
# dev is resolved first, and the others are constrained to its versions, so that one environment can contain all.
# With --check, versions stay unless the .in files exclude them.
set -eu
cd "$(dirname "$0")/.."

upgrade=--upgrade
if [ "${1:-}" = --check ]; then upgrade=; fi

.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
lock() {
    out=requirements/$1.txt
    shift
    # shellcheck disable=SC2086  # an empty $upgrade is no argument
    .venv/bin/python -m uv pip compile -q --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock' \
        $upgrade "$@" -o "$out"
}
lock dev requirements/dev.in
lock local requirements/local.in -c requirements/dev.txt
lock build requirements/build.in -c requirements/dev.txt
lock runtime requirements/runtime.in -c requirements/dev.txt
lock checkov requirements/checkov.in
