#!/usr/bin/env bash
# Runs all tests: unit tests (seconds), then those that run guests. They need nothing but Rust: the guests are committed,
# with checks that they match their sources.
#
#   scripts/test.sh          everything
#   scripts/test.sh unit     only what needs no guest
#   scripts/test.sh guest    only what runs guests
set -euo pipefail
cd "$(dirname "$0")/.."

tier=${1:-all}
case $tier in
all | unit | guest) ;;
*)
    echo "usage: $0 [unit|guest]" >&2
    exit 2
    ;;
esac

if ! command -v cargo >/dev/null; then
    echo "$0: cargo is missing: install Rust 1.95 or later (rustup.rs)" >&2
    exit 1
fi

if [[ $tier != guest ]]; then
    cargo test --workspace --lib --bins
fi
if [[ $tier != unit ]]; then
    cargo test --workspace --test '*'
fi
