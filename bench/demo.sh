#!/usr/bin/env bash
# Runs `ostrom demo` with the binary built and the model fetched, and says how long it took. Exits with 1 if it took more than five minutes, the goal on
# two cores (OSTROM names the binary, else target/release/ostrom).
set -euo pipefail
ostrom=$(realpath "${OSTROM:-$(dirname "$0")/../target/release/ostrom}")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"$ostrom" model pull smollm2-135m >/dev/null
"$ostrom" demo --json --out "$work/demo" >"$work/demo.json"
python3 - "$work/demo.json" <<'PYTHON'
import json, os, sys
seconds = json.load(open(sys.argv[1]))["seconds"]
whole = seconds["model"] + seconds["runs"]
print(f"demo: {whole:.0f} s ({seconds['model']:.1f} s to load the model) on {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}; goal 300 s")
sys.exit(whole > 300)
PYTHON
