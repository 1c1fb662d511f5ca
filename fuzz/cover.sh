#!/bin/sh
# A RUSTC_WRAPPER that instruments what is fuzzed and leaves the rest alone: libFuzzer walks over all counters after every run, and those of
# 400 crates that nobody fuzzes are most of them. docs/fuzzing.md says how it is used.
set -eu
case " $* " in
*" --target "*) ;;
*) exec "$@" ;; # what runs while building
esac
case "${CARGO_PKG_NAME:-}" in
ostrom-* | serde_json | toml | toml_parser | minijinja | lz4_flex | ruzstd | lzma-rust2 | libbz2-rs-sys | zlib-rs | der | cedar-policy-core | tar | base64)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cdebug-assertions
    ;;
esac
exec "$@"
