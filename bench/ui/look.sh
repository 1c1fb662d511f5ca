#!/usr/bin/env bash
# Every page in headless Chromium, wide and narrow, light and dark: the pages of the catalogue (axe.mjs), then a walk through a node that has
# just begun, with hostile texts in every field (walk.mjs). Ends with a status other than 0 if axe-core, the Content-Security-Policy, a
# script that ran, or a page wider than its window gives reason to, or if it could not look.
#
#   bench/ui/look.sh [FOLDER FOR PICTURES]
#
# axe-core is fetched once, with its checksum in package-lock.json, into the target folder. A step of `cargo xtask test`.
set -euo pipefail
cd "$(dirname "$0")/../.."
. bench/common.sh
node_with bench/ui
examples catalogue serve
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
catalogue=()
walk=()
if [ $# -gt 0 ]; then
  mkdir -p "$1/catalogue" "$1/walk"
  catalogue=(--shots "$1/catalogue")
  walk=(--shots "$1/walk")
fi
"$target/debug/examples/catalogue" "$work/pages"
node bench/ui/axe.mjs --modules "$modules" --folder "$work/pages" "${catalogue[@]}"
node bench/ui/walk.mjs --modules "$modules" --node "$target/debug/examples/serve $work/node 127.0.0.1:0" "${walk[@]}"
