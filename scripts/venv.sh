#!/bin/sh
# Create a virtual environment and install one lock into it: scripts/venv.sh local|dev|build|checkov
#
# dev.txt contains all of local.txt in the same versions (a test checks it), so one environment serves both: `make start`
# needs either lock, `make test` the larger one. checkov's versions conflict with the others, so it has .venv-checkov.
# `sam build` in a checkout without .venv makes .venv-build, with little more than pip.
# A copy of the lock in the environment records what is installed.
set -eu
cd "$(dirname "$0")/.."

wanted=${1:?usage: scripts/venv.sh local|dev|build|checkov}
venv=.venv
case $wanted in build | checkov) venv=.venv-$wanted ;; esac

installed() { cmp -s "requirements/$1.txt" "$venv/installed-$1.txt"; }

# The locks are for Python 3.11 to 3.14; pip would skip every line on a later one.
works() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1; }

if works "$venv/bin/python"; then
    if installed dev || installed "$wanted"; then exit 0; fi
else
    for python in ${PYTHON:-} python3.13 python3.12 python3.11 python3.14 python3 python; do
        # Version managers leave names on PATH that do not run, so each is tried.
        if works "$python"; then break; fi
        python=
    done
    if [ -z "$python" ]; then
        echo "Python 3.11, 3.12, 3.13 or 3.14 is needed, and none was found on PATH." >&2
        echo "Install it from https://www.python.org/downloads/ or your package manager, or pass its path:" >&2
        echo "    make start PYTHON=/path/to/python3" >&2
        exit 1
    fi
    echo "Creating $venv with $("$python" --version) ..." >&2
    if ! "$python" -m venv --clear "$venv" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "$python cannot create a virtual environment. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2
        rm -rf "$venv"
        exit 1
    fi
fi

log=$venv/pip.log

# Print the progress of pip while it runs: on a terminal in one line, otherwise in a line every few seconds.
show_progress() {
    set +e # grep fails where it finds nothing
    shown= ticks=0
    while sleep 1; do
        ticks=$((ticks + 1))
        total=$(($(grep -c '^[a-zA-Z0-9][^ ]*==' "requirements/$wanted.txt") - $(grep -c '^Ignoring ' "$log")))
        if grep -q '^Installing collected packages' "$log"; then
            done=$(ls -d "$venv"/lib/python*/site-packages/*.dist-info 2>/dev/null | wc -l)
            line="installing: $((done > total ? total : done)) of $total packages"
        else
            done=$(grep -c '^Collecting ' "$log")
            name=$(sed -n 's/^Collecting \([^ =]*\)==.*/ (\1)/p' "$log" | tail -n 1)
            line="downloading: $done of $total packages$name"
        fi
        if [ "$line" = "$shown" ]; then continue; fi
        if [ -t 2 ]; then
            printf '\r\033[K  %s' "$line" >&2
        elif [ $((ticks % 3)) -eq 1 ]; then
            printf '  %s\n' "$line" >&2
        else
            continue
        fi
        shown=$line
    done
}

echo "Installing requirements/$wanted.txt into $venv ..." >&2
: >"$log"
show_progress &
progress=$!
trap 'kill "$progress" 2>/dev/null || true' EXIT
# The lock lists every package, so pip has nothing to resolve; older versions fail on extras when they try. Python compiles
# the modules that are imported; compiling all of them here would take as long as the rest of the installation.
"$venv/bin/python" -m pip install --no-compile --disable-pip-version-check --no-input --require-hashes --no-deps \
    -r "requirements/$wanted.txt" >"$log" 2>&1 || {
    kill "$progress" 2>/dev/null || true
    grep -v '^\(Collecting\|Ignoring\|Requirement already\|  \(Downloading\|Using\)\)' "$log" | tail -n 20 >&2
    echo "The installation failed: see above, and all of pip's output in $log. Run the same command to try again." >&2
    exit 1
}
if [ "$venv" = .venv ]; then # the project itself, in editable mode
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation \
        --editable .
fi
kill "$progress" 2>/dev/null || true
if [ -t 2 ]; then printf '\r\033[K' >&2; fi
cp "requirements/$wanted.txt" "$venv/installed-$wanted.txt"
