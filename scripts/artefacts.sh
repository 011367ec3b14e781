#!/bin/sh
# Assemble a function or the layer, for the Makefiles that `sam build` runs: scripts/artefacts.sh, options of artefacts.py
# That needs pip and packaging: of the project's environment where it exists, else of one that holds nothing more.
set -eu
cd "$(dirname "$0")/.."
python=.venv/bin/python
if ! "$python" -c 'import packaging, pip' >/dev/null 2>&1; then
    PYTHON='' scripts/venv.sh build
    python=.venv-build/bin/python
fi
exec "$python" -m scripts.artefacts "$@"
