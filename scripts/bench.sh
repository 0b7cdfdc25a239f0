#!/bin/sh
# Runs the benchmarks and prints their tables. Meant for a machine that does nothing else meanwhile.
# WKDB_BENCH_ROUNDS sets how often each thing is measured (11), WKDB_BENCH_STORM how much Linux has to do in the minute
# that is gone back in (300: some 250 million ticks). Arguments go to cargo: `--profile dev` measures what
# `cargo run` builds, and compiles less.
set -eu
cd "$(dirname "$0")/.."
echo "## Instrumentation"
echo
cargo bench --quiet --bench ticks "$@"
echo
echo "## Machine"
echo
cargo bench --quiet --bench machine "$@"
echo
echo "## Debugger"
echo
cargo bench --quiet --bench debugger "$@"
echo
echo "## Going back in time"
echo
cargo bench --quiet --bench travel "$@"
echo
echo "## The screen"
echo
cargo bench --quiet --bench screen "$@"
echo
echo "## Detectors"
echo
cargo bench --quiet --bench detectors "$@"
