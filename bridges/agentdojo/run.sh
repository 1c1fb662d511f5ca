#!/bin/sh
# Measures AgentDojo without and with the guard, and writes docs/agentdojo.md.
#
#   bridges/agentdojo/run.sh [--no-guard] [FOLDER]
#
# FOLDER (default: target/agentdojo) gets the virtual environment and the results. $OSTROM names the binary (default:
# target/release/ostrom), $PYTHON a Python 3.11 (default: python3.11).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
versions="none suite-allow-list task-allow-list guard guard-approvals"
if [ "${1:-}" = --no-guard ]; then
    versions="none suite-allow-list task-allow-list"
    shift
fi
work=${1:-$root/target/agentdojo}
ostrom=${OSTROM:-$root/target/release/ostrom}
mkdir -p "$work"
if [ ! -x "$work/venv/bin/python" ]; then
    "${PYTHON:-python3.11}" -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/requirements.txt"
cd "$here"
"$work/venv/bin/python" -m pytest -q tests
rm -rf "$work/results"
for version in $versions; do
    "$work/venv/bin/python" replay.py --version "$version" --guard "$ostrom" --out "$work/results"
done
"$work/venv/bin/python" report.py "$work/results" --out "$root/docs/agentdojo.md"
