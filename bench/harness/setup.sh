#!/usr/bin/env bash
# Installs the peers that run.py measures, each pinned and in a place of its own, outside the repository.
#
#   bench/harness/setup.sh [CACHE_DIR] [garak|inspect|promptfoo ...]
#
# CACHE_DIR defaults to $XDG_CACHE_HOME/ostrom-bench. With no names it installs all three, one after the other (garak
# brings a whole inference stack with it: about 7 GB of disk and ten minutes). A finished install is left as it is; remove
# its folder to redo it. The packages come from whatever registries pip and npm are set up to use.
set -euo pipefail

# Older releases of pip take longer than ten minutes to resolve garak's dependencies.
PIP_VERSION=26.3
GARAK_VERSION=0.17.1
INSPECT_VERSION=0.3.285
# Inspect talks to OpenAI-compatible endpoints through this client, which it leaves to the user to install.
OPENAI_VERSION=3.54.0
PROMPTFOO_VERSION=0.123.1
# promptfoo needs a newer Node than many systems have, so one is installed beside it from its registry package.
NODE_VERSION=22.23.3

cache="${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ostrom-bench}"
shift || true
[ "$#" -gt 0 ] || set -- inspect promptfoo garak
cache="$(realpath -m "$cache")"
repository="$(cd "$(dirname "$0")/../.." && pwd)"
case "$cache/" in "$repository"/*) echo "setup: $cache is inside the repository; choose another folder" >&2; exit 2 ;; esac
mkdir -p "$cache"

python="${PYTHON:-python3}"
polite() { nice -n 10 "$@"; }

venv() { # venv NAME PACKAGE...: a virtual environment holding exactly these packages and what they need
  local home="$cache/$1" name="$1"; shift
  if [ -e "$home/.complete" ]; then echo "setup: $name is already there"; return; fi
  echo "setup: installing $name ($*)"
  rm -rf "$home"
  polite "$python" -m venv "$home"
  polite "$home/bin/python" -m pip install --quiet --disable-pip-version-check "pip==$PIP_VERSION"
  polite "$home/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  "$home/bin/python" -m pip freeze --disable-pip-version-check >"$home/.complete"
}

install_promptfoo() {
  local home="$cache/promptfoo" arch
  if [ -e "$home/.complete" ]; then echo "setup: promptfoo is already there"; return; fi
  case "$(uname -m)" in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) echo "setup: no Node package for $(uname -m)" >&2; exit 2 ;; esac
  echo "setup: installing promptfoo ($PROMPTFOO_VERSION, Node $NODE_VERSION)"
  rm -rf "$home"; mkdir -p "$home"
  echo '{"private": true}' >"$home/package.json"
  # No install scripts: they only fetch browsers and GPU libraries, which a run against an HTTP endpoint does not use.
  (cd "$home" && polite npm install --silent --no-audit --no-fund --ignore-scripts --save-exact \
    "node-linux-$arch@$NODE_VERSION" "promptfoo@$PROMPTFOO_VERSION")
  ln -sfn "node_modules/node-linux-$arch/bin/node" "$home/node"
  "$home/node" --version >"$home/.complete"
}

for peer in "$@"; do
  case "$peer" in
    garak) venv garak "garak==$GARAK_VERSION" ;;
    inspect) venv inspect "inspect-ai==$INSPECT_VERSION" "openai==$OPENAI_VERSION" ;;
    promptfoo) install_promptfoo ;;
    *) echo "setup: no such peer: $peer (garak, inspect, promptfoo)" >&2; exit 2 ;;
  esac
done
echo "setup: ready in $cache"
