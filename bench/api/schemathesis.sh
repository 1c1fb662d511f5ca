#!/usr/bin/env bash
# Tries the REST API against its own OpenAPI document with schemathesis: as nobody, as a machine and as an administrator. Ends with
# status 0 if every answer is one that the document describes.
#
#     bench/api/schemathesis.sh [EXAMPLES]        (10 for each operation unless said otherwise: about a minute)
#
# schemathesis is fetched once, with its checksums in requirements.txt, into the target folder. A step of `cargo xtask test`.
set -euo pipefail
cd "$(dirname "$0")/../.."
. bench/common.sh
count=${1:-10}
python_with schemathesis bench/api
examples serve
folder=$(mktemp -d)
trap 'kill "$node" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
OSTROM_UNLIMITED=1 "$target/debug/examples/serve" "$folder/data" 127.0.0.1:0 >"$folder/out" &
node=$!
for _ in $(seq 100); do
    [ "$(wc -l <"$folder/out")" -ge 2 ] && break
    sleep 0.1
done
{ read -r url; read -r link; } <"$folder/out"
python3 bench/api/first.py "$url" "$link" >"$folder/variables"
# shellcheck disable=SC1091
. "$folder/variables"
run() {
    echo "== as $1"
    shift
    # Not every body that the schema takes is taken: a schema does not know which collections there are, or what a cursor says.
    # From there, since it leaves files where it runs.
    cd "$folder" && "$venv/bin/st" run "$url/api/v1/openapi.json" --max-examples "$count" --seed 7 \
        --request-timeout 20 --continue-on-failure --no-color --exclude-checks positive_data_acceptance "$@"
}
status=0
run nobody || status=1
run 'a machine' --header "Authorization: Bearer $TOKEN" || status=1
run 'an administrator' --header "Cookie: $COOKIE" --header "X-CSRF-Token: $CSRF" || status=1
kill -0 "$node" || { echo 'the node has died'; status=1; }
exit "$status"
