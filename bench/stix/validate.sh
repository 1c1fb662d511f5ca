#!/usr/bin/env bash
# Gives what Ostrom writes to the OASIS validator (stix2-validator 3.2.0 from PyPI, with the official JSON schemas that it brings), and the
# two extensions in it to their own schemas. Ends with a status other than 0 if a single object is refused, or if it could not be checked.
#
#   bench/stix/validate.sh [HOW-MANY-GENERATED]
#
# The validator is fetched once, with its checksums in requirements.txt, into the target folder. A step of `cargo xtask test`.
set -euo pipefail
cd "$(dirname "$0")/../.."
. bench/common.sh
count=${1:-50}
python_with stix bench/stix
examples stix_samples
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$target/debug/examples/stix_samples" "$out" "$count"
"$venv/bin/python" bench/stix/validate.py "$out" "$count"
