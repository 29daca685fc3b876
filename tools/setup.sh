#!/bin/sh
# setup.sh VENV [INTERPRETER] [REQUIREMENTS ...]: makes VENV with the pinned packages, or says in one line why it cannot.
set -eu
venv=$1; interpreter=${2:-}; shift; [ $# -eq 0 ] || shift

fail() { echo "setup: $*" >&2; exit 1; }

if [ -z "$interpreter" ]; then
    for candidate in python3.12 python3.11 python3.13 python3; do
        if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c '' >/dev/null 2>&1; then
            interpreter=$candidate
            case $("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])') in
                3.11 | 3.12 | 3.13) break ;;
            esac
        fi
    done
fi
[ -n "$interpreter" ] || fail "no Python found; expected Python 3.11, 3.12 or 3.13 (PYTHON=python3.12 names one)"
command -v "$interpreter" >/dev/null 2>&1 || fail "PYTHON=$interpreter: no such program"
version=$("$interpreter" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "PYTHON=$interpreter: does not run"
case $version in
    3.11 | 3.12 | 3.13) ;;
    *) fail "$interpreter is Python $version; expected 3.11, 3.12 or 3.13 (PYTHON=python3.12 names one)" ;;
esac

if [ -x "$venv/bin/python" ]; then
    have=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none)
    [ "$have" = "$version" ] || rm -rf "$venv"
fi
if [ ! -x "$venv/bin/python" ]; then
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge "${SETUP_MIB:-4096}" ] || fail "$free MiB free here; the packages need ${SETUP_MIB:-4096}"
    "$interpreter" -m venv "$venv" >/dev/null 2>&1 ||
        { rm -rf "$venv"; fail "$interpreter cannot make a virtual environment; on Debian and Ubuntu: apt install python$version-venv"; }
fi

log=$venv/setup.log
set -- "$@"
arguments=""
for file in "$@"; do arguments="$arguments -r $file"; done
echo "setup: installing $* for Python $version into $venv (some minutes the first time)"
# shellcheck disable=SC2086 # the list of -r arguments is meant to be split
if ! "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off $arguments >"$log" 2>&1; then
    if grep -qi 'no space left' "$log"; then
        fail "the disk is full; make room and run the same command again"
    elif grep -qiE 'connection|resolution|timed out|retrying|network' "$log"; then
        fail "the package index cannot be reached; check the network and run the same command again"
    fi
    fail "pip failed: $(grep -m 1 ERROR "$log" || tail -n 1 "$log") (all of it: $log)"
fi
