#!/usr/bin/env bash
# Gives what Ostrom writes to the OASIS validator (stix2-validator 3.2.0 from PyPI, with the official JSON schemas that it brings), and the
# two extensions in it to their own schemas. Ends with a status other than 0 if a single object is refused, or if it could not be checked.
#
#   bench/stix/validate.sh [HOW-MANY-GENERATED]
#
# Uses a virtual environment in OSTROM_STIX_VENV, or makes one in the target folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
count=${1:-50}
target=${CARGO_TARGET_DIR:-target}
venv=${OSTROM_STIX_VENV:-$target/stix-venv}
if [ ! -x "$venv/bin/stix2_validator" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'stix2-validator==3.2.0'
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cargo run --quiet -p ostrom-exchange --example stix_samples -- "$out" "$count"
"$venv/bin/python" bench/stix/validate.py "$out" "$count"
