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
# In one go, so that features are those of the tests' build.
cargo build --quiet --workspace --example catalogue --example serve --bin ostrom --bin xtask
work=$(mktemp -d)
mock=
trap 'rm -rf "$work"; [ -z "$mock" ] || kill "$mock"' EXIT

# A bundle about a model whose name is long and hostile, to be published by its page.
mkfifo "$work/port"
"$target/debug/xtask" mock-endpoint --seconds-limit 300 >"$work/port" &
mock=$!
read -r port <"$work/port"
name="\"><img src=x onerror=window.ran=1> <script>window.ran=1</script> $(printf 'A-model-with-a-long-name-%.0s' {1..6})"
"$target/debug/ostrom" eval run --suite starter --target "openai:$name" --base-url "http://127.0.0.1:$port/v1" \
  --sign-key "$work/key.pem" --out "$work/bundle" >/dev/null
"$target/debug/ostrom" eval pack "$work/bundle" --out "$work/bundle.tar.zst" >/dev/null

catalogue=()
walk=()
if [ $# -gt 0 ]; then
  mkdir -p "$1/catalogue" "$1/walk"
  catalogue=(--shots "$1/catalogue")
  walk=(--shots "$1/walk")
fi
"$target/debug/examples/catalogue" "$work/pages"
node bench/ui/axe.mjs --modules "$modules" --folder "$work/pages" "${catalogue[@]}"
node bench/ui/walk.mjs --modules "$modules" --bundle "$work/bundle.tar.zst" --node "$target/debug/examples/serve $work/node 127.0.0.1:0" "${walk[@]}"
