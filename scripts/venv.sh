#!/bin/sh
# Make a virtual environment and install one lock into it: scripts/venv.sh local|dev|checkov
#
# dev.txt holds all of local.txt in the same versions (a test keeps it so), so one environment serves
# both: `make start` needs either lock, `make test` the larger one, in whatever order they are called. checkov's
# versions go with nothing else's, so it has .venv-checkov.
# A copy of the lock inside the environment is the stamp of what has been installed.
set -eu
cd "$(dirname "$0")/.."

wanted=${1:?usage: scripts/venv.sh local|dev|checkov}
venv=.venv
if [ "$wanted" = checkov ]; then venv=.venv-checkov; fi

installed() { cmp -s "requirements/$1.txt" "$venv/installed-$1.txt"; }

# The locks hold what Python 3.11 to 3.14 need; on a later one pip would take every line to be for others.
works() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1; }

if works "$venv/bin/python"; then
    if installed dev || installed "$wanted"; then exit 0; fi
else
    for python in ${PYTHON:-} python3.13 python3.12 python3.11 python3.14 python3 python; do
        # Version managers leave names on PATH that do not run: try each.
        if works "$python"; then break; fi
        python=
    done
    if [ -z "$python" ]; then
        echo "Python 3.11, 3.12, 3.13 or 3.14 is needed, and none was found on PATH." >&2
        echo "Install it from https://www.python.org/downloads/ or your package manager, or say where it is:" >&2
        echo "    make start PYTHON=/path/to/python3" >&2
        exit 1
    fi
    echo "Making $venv with $("$python" --version) ..." >&2
    if ! "$python" -m venv --clear "$venv" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "$python cannot make a virtual environment. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2
        rm -rf "$venv"
        exit 1
    fi
fi

echo "Installing requirements/$wanted.txt into $venv ..." >&2
# The lock holds everything there is to install, so pip has nothing to resolve; older ones trip over extras there.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
    -r "requirements/$wanted.txt" || {
    echo "The installation failed; the lines above say why. It is safe to run the same command again." >&2
    exit 1
}
if [ "$venv" = .venv ]; then # the project itself, whose sources stay where they are
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation \
        --editable .
fi
cp "requirements/$wanted.txt" "$venv/installed-$wanted.txt"
