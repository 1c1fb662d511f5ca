#!/usr/bin/env bash
# Has the tools of others read what `ostrom eval export` writes: garak's own report tools (analyze_log, report_digest, aggregate_reports)
# read `--format garak`, AVID's own data model (avidtools) reads `--format avid`, pandas and pyarrow read `--format csv` and `parquet`. Both of a
# run in which everything was answered and of one with failed trials. Exits with 1 if one refuses, or if a count is not Ostrom's.
#
#   bench/export/lab.sh [FOLDER]
#
# OSTROM names the binary (else target/release/ostrom), PYTHON a Python of 3.11 or later. garak is installed without the inference stack that it
# would bring along (no torch): its report tools do not use it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(realpath -m "${1:-$(mktemp -d)}")
ostrom=$(realpath "${OSTROM:-$here/../../target/release/ostrom}")
mkdir -p "$work"
cd "$work"

if [ ! -e venv/.complete ]; then
  "${PYTHON:-python3}" -m venv venv
  venv/bin/pip install -q --disable-pip-version-check --no-deps garak==0.17.1
  venv/bin/pip install -q --disable-pip-version-check avidtools==0.1.2 pandas==3.1.1 pyarrow==26.0.1 numpy pyyaml xdg-base-dirs colorama tqdm \
    markdown langdetect==1.0.9 nltk
  touch venv/.complete
fi

status=0
for run in whole failed; do
  every=0; expect=0
  [ $run = whole ] || { every=7; expect=4; }
  coproc endpoint { exec python3 "$here/endpoint.py" "$every"; }
  read -r port <&"${endpoint[0]}"
  rm -rf "$run"; code=0
  OSTROM_HOME="$work/home" "$ostrom" eval run --suite starter --target openai:mock --base-url "http://127.0.0.1:$port/v1" \
    --max-attempts 1 --out "$run" --json >"$run.json" 2>"$run.err" || code=$?
  kill "$endpoint_PID"; wait "$endpoint_PID" 2>/dev/null || true
  [ "$code" = "$expect" ] || { echo "eval run of '$run' ended with $code, not $expect"; cat "$run.err"; exit 1; }
  for format in garak avid csv parquet; do
    code=0
    "$ostrom" eval export "$run" --format $format --out "$run.$format" 2>"$run.$format.err" || code=$?
    [ "$code" = "$expect" ] || { echo "export $format of '$run' ended with $code, not $expect"; cat "$run.$format.err"; status=1; }
  done
  cp "$run.garak" "$run.report.jsonl"
  HOME="$work" XDG_DATA_HOME="$work/data" XDG_CONFIG_HOME="$work/config" XDG_CACHE_HOME="$work/cache" \
    venv/bin/python "$here/lab.py" "$run" || status=1
done
exit $status
