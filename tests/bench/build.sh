#!/bin/sh
# Compiles the benchmark guests: NAME.c to NAME.wasm beside it. Then record the hashes of all files:
# BLESS=1 cargo test --test instrument guests. Needs clang and wasm-ld; CLANG names the compiler, clang-22 if unset.
set -eu
cd "$(dirname "$0")"
for source in *.c; do
	"${CLANG:-clang-22}" --target=wasm32 -O2 -nostdlib -ffreestanding -matomics -mbulk-memory -Wall -Wextra -Werror \
		-Wl,--no-entry,--strip-all -o "${source%.c}.wasm" "$source"
done
ls -l ./*.wasm
