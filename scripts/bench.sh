#!/bin/sh
# Runs the benchmarks and prints their tables. Meant for a machine that does nothing else meanwhile.
# WKDB_BENCH_ROUNDS sets how often each variant is measured (11).
set -eu
cd "$(dirname "$0")/.."
echo "## Instrumentation"
echo
cargo bench --quiet --bench ticks "$@"
