#!/bin/sh
# Makes one export of each kind and has the tools of others read them: AVID's own data model (PyPI avidtools), every mandatory test of
# CSAF 2.0 (npm @secvisogram/csaf-validator-lib, the BSI's), and OSV's data model (PyPI osv-utils). Exits with 1 if one is refused.
#
# Needs node, a Python of 3.12 or later (PYTHON, else python3), and the package registries. Usage: bench/export/validate.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$here/../.."

rm -rf "$work/exports"
OSTROM_EXPORTS="$work/exports" cargo test -q -p ostrom-exchange --lib exports_for_the_validators_of_others -- --ignored

[ -d "$work/python" ] || "${PYTHON:-python3}" -m venv "$work/python"
"$work/python/bin/pip" install -q --disable-pip-version-check avidtools==0.3.2 osv-utils==0.3.11
[ -d "$work/node_modules" ] || npm install --silent --no-audit --no-fund --prefix "$work" @secvisogram/csaf-validator-lib@2

status=0
node "$here/csaf.mjs" "$work" "$work"/exports/csaf/*.json || status=1
"$work/python/bin/python" "$here/models.py" avid "$work"/exports/avid/*.json || status=1
"$work/python/bin/python" "$here/models.py" osv "$work"/exports/osv/*.json || status=1
exit $status
