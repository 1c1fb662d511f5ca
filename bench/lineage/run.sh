#!/bin/sh
# Compares a real model with its variants: run.sh MODEL.gguf VARIANTS, with VARIANTS made by variants.py.
# COMPARE names the program: cargo build -p ostrom-scan --example compare_weights, then target/debug/examples/compare_weights.
set -eu
model=$1
variants=$2
compare=${COMPARE:-target/debug/examples/compare_weights}
"$compare" --layers "$model"
for variant in "$variants"/*; do
    printf '%s: ' "$(basename "$variant")"
    "$compare" "$model" "$variant"
done
for variant in "$variants"/*; do
    printf 'f16 and %s: ' "$(basename "$variant")"
    "$compare" "$variants/f16" "$variant"
done
