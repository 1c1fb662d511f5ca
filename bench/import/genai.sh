#!/usr/bin/env bash
# Imports all records of genai-incidents 2.13.0 (PyPI) into a node's store. Ends with a status other than 0 if one is refused, or if the dataset
# cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder" 'genai-incidents==2.13.0'
python3 -m zipfile -e "$folder"/genai_incidents-2.13.0-*.whl "$folder/wheel"
export OSTROM_GENAI="$folder/wheel/genai_incidents/data/incidents.min.json"
test -s "$OSTROM_GENAI"
cargo test -p ostrom-exchange the_whole_dataset -- --ignored --exact import::tests::the_whole_dataset_is_taken --nocapture
