#!/usr/bin/env bash
# Kills a node under load 50 times (or as often as you say), and counts what it had acknowledged. About two minutes.
#
#     bench/node/kill.sh [TIMES]
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --quiet -p ostrom-node --example serve
OSTROM_KILLS=${1:-50} cargo test --quiet -p ostrom-node --test kill -- --nocapture
