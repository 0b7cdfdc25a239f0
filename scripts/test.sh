#!/usr/bin/env bash
# Installs what the tests need and runs them, in three tiers: unit tests (seconds), guests (small kernels and minik), and
# the whole system (gdb and lldb, Linux). The guests are committed, with checks that they match their sources.
#
#   scripts/test.sh          everything
#   scripts/test.sh unit     only what needs no guest
#   scripts/test.sh guest    only what runs small guests
#   scripts/test.sh system   only what runs Linux or drives a debugger
#   scripts/test.sh tools    only installs what the system tests drive: debuggers, readers of traces, a terminal
#
# Property tests draw the same cases each time, so that a failure is that of the change that is tested; others with
# PROPTEST_RNG_SEED=$RANDOM, and the longer look with WKDB_FUZZ_SECONDS draws new ones each time.
set -euo pipefail
cd "$(dirname "$0")/.."
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}

# Test binaries of the third tier; all others of tests/ are of the second.
system=(linux gdb debug kernel recording live travel hunt trace tui patrol explain)

tier=${1:-all}
case $tier in
all | unit | guest | system | tools) ;;
*)
    echo "usage: $0 [unit|guest|system|tools]" >&2
    exit 2
    ;;
esac

if ! command -v cargo >/dev/null; then
    echo "$0: cargo is missing: install Rust 1.95 or later (rustup.rs)" >&2
    exit 1
fi

# Debian's gdb, lldb-22, babeltrace2, trace-cmd and tmux; a newer gdb and Perfetto's schema from PyPI, which come as
# Python packages.
install_tools() {
    local packages=() root=() log=target/test-tools/install.log
    mkdir -p target/test-tools
    command -v gdb >/dev/null || packages+=(gdb)
    command -v lldb-22 >/dev/null || packages+=(lldb-22)
    command -v babeltrace2 >/dev/null || packages+=(babeltrace2)
    command -v trace-cmd >/dev/null || packages+=(trace-cmd)
    command -v tmux >/dev/null || packages+=(tmux)
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
    if [[ ${#packages[@]} != 0 ]]; then
        if ! command -v apt-get >/dev/null; then
            echo "$0: the system tests need ${packages[*]}: install them" >&2
            exit 1
        fi
        if [[ $(id -u) != 0 ]]; then root=(sudo); fi
        echo "installing ${packages[*]} (log: $log)"
        if ! { "${root[@]}" apt-get update -q && DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -q \
            --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 </dev/null; then
            tail -n 20 "$log" >&2
            echo "$0: could not install ${packages[*]}: install them by hand" >&2
            exit 1
        fi
    fi
    if [[ ! -x target/test-tools/gdb18/bin/gdb ]]; then
        echo "installing gdb 18 (the PyPI package gdb-for-pwndbg) into target/test-tools/gdb18"
        rm -rf target/test-tools/gdb18
        python3 -m venv target/test-tools/gdb18
        target/test-tools/gdb18/bin/pip install -q --disable-pip-version-check gdb-for-pwndbg
    fi
    # It completes its own installation when it first runs, and of several that do so at once all but one fail.
    if ! target/test-tools/gdb18/bin/gdb --version >>"$log" 2>&1; then
        tail -n 5 "$log" >&2
        echo "$0: gdb 18 does not run: if it misses libpython, install python3-dev" >&2
        exit 1
    fi
    if ! target/test-tools/perfetto/bin/python -c 'import perfetto.protos.perfetto.trace.perfetto_trace_pb2' 2>/dev/null; then
        echo "installing Perfetto's schema (the PyPI package perfetto) into target/test-tools/perfetto"
        rm -rf target/test-tools/perfetto
        python3 -m venv target/test-tools/perfetto
        target/test-tools/perfetto/bin/pip install -q --disable-pip-version-check perfetto
    fi
}

if [[ $tier == tools ]]; then
    install_tools
    exit 0
fi
# With these set, a debugger that is missing fails its tests instead of passing over them.
if [[ $tier == all || $tier == system ]]; then
    install_tools
    gdb=$(command -v gdb) lldb=$(command -v lldb-22)
    export WKDB_TEST_GDBS=$gdb:$PWD/target/test-tools/gdb18/bin/gdb WKDB_TEST_LLDB=$lldb WKDB_TEST_TMUX=1
    babeltrace=$(command -v babeltrace2) trace_cmd=$(command -v trace-cmd)
    export WKDB_TEST_BABELTRACE2=$babeltrace WKDB_TEST_TRACE_CMD=$trace_cmd
    export WKDB_TEST_PERFETTO=$PWD/target/test-tools/perfetto/bin/python
fi
if [[ $tier == all || $tier == unit ]]; then
    cargo test --workspace --lib --bins
fi
if [[ $tier == all || $tier == guest ]]; then
    second=()
    for main in tests/*.rs tests/*/main.rs; do
        name=${main#tests/}
        name=${name%.rs}
        name=${name%/main}
        [[ -e $main && " ${system[*]} bench " != *" $name "* ]] && second+=(--test "$name")
    done
    cargo test "${second[@]}"
fi
if [[ $tier == all || $tier == system ]]; then
    third=()
    for name in "${system[@]}"; do
        [[ -e tests/$name/main.rs ]] && third+=(--test "$name")
    done
    cargo test "${third[@]}"
    cargo test --package wkdb-debugger --test '*'
fi
