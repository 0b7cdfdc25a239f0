#!/bin/sh
# Builds the demo guest "minik" from src/demo/minik with Debian's clang-22 and lld-22, and writes what is committed:
#
#   src/demo/minik-6.4.wasm, src/demo/minik-7.0.wasm   the kernel, for both eras of the host contract
#   tests/fixtures/minik-O{0,2}.wasm.zst               the kernel without, and with more optimisation: for tests
#   tests/fixtures/stacks/                             the same with a driver that writes into stacks of others, and programs
#   src/demo/initramfs.cpio                            its user programs, a "newc" archive
#   src/demo/SOURCES.sha256                            what these were built from
#
# SOURCES.sha256 holds a line "HASH  PATH" for every file below src/demo/minik, for the sources of those fixtures and for
# this script, as sha256sum prints it in the repository's root, paths sorted bytewise. A test compares it with the files.
# The build is reproducible: nothing in it depends on where or when it runs.
set -eu
export LC_ALL=C
root=$(cd "$(dirname "$0")/.." && pwd)
demo=$root/src/demo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$demo/minik"

common="--target=wasm32 -matomics -mbulk-memory -ffreestanding -nostdlibinc -std=gnu11 -Iinclude
  -ffile-compilation-dir=minik -Wall -Wextra -Werror -Wno-dangling-else"
# Functions in assembly have a name each, and nothing to say about lines.
compile() { # SOURCE OBJECT FLAGS...
  source=$1 object=$2
  shift 2
  case $source in
  *.S) clang-22 $common -Wno-unused-command-line-argument "$@" -c "$source" -o "$object" ;;
  *) clang-22 $common -g -gdwarf-5 "$@" -c "$source" -o "$object" ;;
  esac
}

kernel_exports="_start _start_secondary ret_from_fork get_user_stack_pointer get_user_tls_base init_task
  boot_command_line initrd_start initrd_end __per_cpu_offset jiffies_64 runqueues timer_bases raised_irqs
  first_worker first_worker_pool timer_base_clk fb_info fb_info_fbops msg_ring minik_eth0"

build_kernel() { # ERA OUTPUT FLAGS...: with what is in $more
  era=$1 output=$2
  shift 2
  objects=$more
  for source in arch/*.S arch/*.c init/*.c kernel/*.c mm/*.c fs/*.c drivers/*.c lib/*.c; do
    object=$work/$era-$(echo "$source" | tr / -).o
    compile "$source" "$object" -DERA="$era" "$@"
    objects="$objects $object"
  done
  if [ "$era" = 64 ]; then
    exports="--export-all"
  else
    exports=$(printf -- '--export=%s ' $kernel_exports)
  fi
  wasm-ld-22 --import-memory --shared-memory --max-memory=4294967296 --global-base=65536 --no-stack-first \
    -z stack-size=4096 --export-table --no-entry --no-merge-data-segments $exports $objects -o "$output"
}

build_program() { # NAME PATH SOURCES...: with the level of optimising in $level, and $map
  program=$1 path=$2
  shift 2
  objects=
  for source in user/crt.S user/libc.c lib/string.c lib/vsprintf.c "$@"; do
    object=$work/$program-$(echo "$source" | tr / -).o
    compile "$source" "$object" -DERA=70 -fPIC -fvisibility=hidden -ftls-model=local-exec -$level $map
    objects="$objects $object"
  done
  mkdir -p "$work/root/$(dirname "$path")"
  wasm-ld-22 -shared --experimental-pic --shared-memory --max-memory=4294967296 --no-entry $objects \
    -o "$work/root/$path"
}

# A newc archive with fixed times and owners, its entries in the order given.
write_cpio() { # FILE ENTRIES...
  python3 - "$@" <<'PY'
import os, sys

out, entries = sys.argv[1], sys.argv[2:]
data = bytearray()

def entry(ino, name, mode, content):
    fields = [ino, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    data.extend(b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0")
    data.extend(b"\0" * (-len(data) % 4))
    data.extend(content)
    data.extend(b"\0" * (-len(data) % 4))

for ino, name in enumerate(entries, 1):
    if os.path.isdir(name):
        entry(ino, name, 0o040755, b"")
    else:
        entry(ino, name, 0o100755, open(name, "rb").read())
entry(0, "TRAILER!!!", 0, b"")
data.extend(b"\0" * (-len(data) % 512))
open(out, "wb").write(data)
PY
}

more=
build_kernel 64 "$demo/minik-6.4.wasm" -O1 -fno-inline-functions
build_kernel 70 "$demo/minik-7.0.wasm" -O1 -fno-inline-functions
for level in O0 O2; do
  build_kernel 70 "$work/minik-$level.wasm" -$level
  zstd -q -19 -f "$work/minik-$level.wasm" -o "$root/tests/fixtures/minik-$level.wasm.zst"
done
chmod 644 "$demo"/*.wasm
level=O1 map=
build_program init init user/init.c
build_program sh bin/sh user/sh.c user/sh_builtins.c
build_program hello bin/hello user/hello.c
build_program stress bin/stress user/stress.c
build_program bindd bin/bindd user/bindd.c
build_program fbtest bin/fbtest user/fbtest.c
build_program contract bin/contract user/contract.c user/contract_signals.c
cd "$work/root"
write_cpio "$demo/initramfs.cpio" $(find . -mindepth 1 | sed 's|^\./||' | sort)

# With a driver of its own, and programs, for tests of stores into stacks.
stacks=../../../tests/fixtures/stacks
map="-Iuser -ffile-prefix-map=$stacks/=user/"
for level in O0 O2; do
  cd "$demo/minik"
  rm -rf "$work/root"
  more="--wrap=drivers_init $work/quota-$level.o"
  compile $stacks/quota.c "$work/quota-$level.o" -DERA=70 -$level "-ffile-prefix-map=$stacks/=drivers/"
  build_kernel 70 "$work/stacks-$level.wasm" -$level
  build_program poke-$level bin/poke $stacks/poke.c
  build_program heap-$level bin/own $stacks/heap.c
  cd "$work/root"
  cp bin/own init
  for name in thread other neighbour; do cp bin/own bin/$name; done
  write_cpio "$work/stacks-$level.cpio" $(find . -mindepth 1 | sed 's|^\./||' | sort)
  for file in wasm cpio; do
    chmod 644 "$work/stacks-$level.$file"
    zstd -q -19 -f "$work/stacks-$level.$file" -o "$root/tests/fixtures/stacks/$level.$file.zst"
  done
done
cd "$root"
{ find src/demo/minik -type f; ls tests/fixtures/stacks/*.c; echo scripts/build-demo.sh; } | sort | xargs sha256sum > src/demo/SOURCES.sha256
ls -l "$demo"/*.wasm "$demo"/initramfs.cpio
