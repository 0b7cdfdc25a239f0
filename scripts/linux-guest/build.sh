#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the Linux guest from Debian's linux-source-6.12 and our arch/wasm: vmlinux.wasm, initramfs.cpio, and the kernel's
# own commands for gdb, gdb-scripts.tar.
#
# What is missing of the packages that it needs is installed from Debian. The kernel is unpacked and built in
# LINUX_GUEST_BUILD (default: target/linux-guest), where everything goes, log files too. Every step does only what has
# changed since, and takes up where it was interrupted. JOBS is how much is done at once (default: the number of cores).
#
#   build.sh                    builds the guest
#   VARIANT=kunit build.sh      builds vmlinux-kunit.wasm instead, which runs the kernel's own tests when it boots
#   build.sh --bundle           builds the guest and puts it into src/demo/linux, compressed, for wkdb to embed
#   build.sh MAKE-TARGET...     only builds these objects
set -euo pipefail
export LC_ALL=C KBUILD_BUILD_USER=wkdb KBUILD_BUILD_HOST=wkdb KBUILD_BUILD_VERSION=1 \
  KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026'
here=$(cd "$(dirname "$0")" && pwd)
build=${LINUX_GUEST_BUILD:-$(cd "$here/../.." && pwd)/target/linux-guest}
jobs=${JOBS:-$(nproc)}
variant=${VARIANT:+-$VARIANT}
bundle=
if [ "${1:-}" = --bundle ]; then
  bundle=$(cd "$here/../.." && pwd)/src/demo/linux
  shift
fi
mkdir -p "$build"
cd "$build"
src=linux-source-6.12

step() { printf '== %s\n' "$*" >&2; }
logged() { # LOG COMMAND...
  local log=$1
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    echo "failed: see $log" >&2
    exit 1
  }
}

step "packages"
# What we use of each: a command, or a file.
needed="linux-source-6.12 /usr/src/linux-source-6.12.tar.xz
clang-22 clang-22
lld-22 wasm-ld-22
llvm-22 llvm-ar-22
gcc gcc
libc6-dev /usr/include/stdio.h
make make
flex flex
bison bison
bc bc
patch patch
python3 python3
rsync rsync
xz-utils xz
zstd zstd"
missing=
while read -r package thing; do
  [ -e "$thing" ] || command -v "$thing" >/dev/null || missing="$missing $package"
done <<<"$needed"
if [ -n "$missing" ]; then
  as_root=
  [ "$(id -u)" = 0 ] || as_root="sudo -n"
  if ! command -v apt-get >/dev/null; then
    echo "there is no apt-get to install with; these Debian packages are missing:$missing" >&2
    exit 1
  elif [ -n "$as_root" ] && ! sudo -n true 2>/dev/null; then
    echo "not root, and sudo wants a password: run apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  echo "installing$missing" >&2
  logged "$build/packages.log" $as_root apt-get update
  logged "$build/packages.log" $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends $missing
fi

step "sources"
if [ ! -e $src/.unpacked ]; then
  rm -rf $src
  tar -xf /usr/src/linux-source-6.12.tar.xz
  touch $src/.unpacked
fi
for patch in "$here"/patches/*.patch; do
  [ -e "$patch" ] || continue
  applied=$src/.applied-$(basename "$patch")
  cmp -s "$patch" "$applied" && continue
  # An older version of it is taken back first.
  [ ! -s "$applied" ] || patch -d $src -p1 -R <"$applied" >&2
  patch -d $src -p1 --forward <"$patch" >&2
  cp "$patch" "$applied"
done
# By contents, not times: what is the same stays as it is, and is not built again.
rsync -rc --delete "$here/arch/wasm/" $src/arch/wasm/

# What the module says of its sources depends on the tree, not on where it is.
maps="-ffile-prefix-map=$build/="

kmake() {
  nice -n 19 make -C $src O="$build/kernel$variant" ARCH=wasm LLVM=-22 LD=wasm-ld-22 HOSTCC=gcc HOSTCXX=g++ \
    CLANG_TARGET_FLAGS_wasm=wasm32-unknown-unknown KCFLAGS="$maps" KAFLAGS="$maps" -j"$jobs" "$@"
}

step "configuration"
# The variant is mostly the same objects, and make sees which.
[ -e "kernel$variant" ] || [ ! -e kernel ] || cp -a kernel "kernel$variant"
mkdir -p "kernel$variant"
cat "$here/config" ${VARIANT:+"$here/config.$VARIANT"} >wanted.config
if ! cmp -s wanted.config "kernel$variant/wanted.config" ||
  [ "$here/arch/wasm/Kconfig" -nt "kernel$variant/.config" ]; then
  logged "$build/config.log" kmake KCONFIG_ALLCONFIG="$build/wanted.config" allnoconfig
  touch "kernel$variant/.config"
  cp wanted.config "kernel$variant/wanted.config"
fi
while IFS= read -r line; do
  case $line in
  CONFIG_*=n) ! grep -q "^${line%=n}=" "kernel$variant/.config" || echo "note: ${line%=n} is set" >&2 ;;
  CONFIG_*) grep -qxF "$line" "kernel$variant/.config" || echo "note: $line is not what came out" >&2 ;;
  esac
done <wanted.config

step "kernel"
logged "$build/kernel.log" kmake "${@:-wasm_objects}"
[ $# = 0 ] || exit 0

step "link"
logged "$build/version.log" kmake init/version-timestamp.o
exports="_start _start_secondary ret_from_fork get_user_stack_pointer get_user_tls_base raise_exception raise_interrupt
  init_task boot_command_line initrd_start initrd_end __per_cpu_offset jiffies_64 runqueues timer_bases raised_irqs
  nr_cpu_ids __stack_pointer"
cd "kernel$variant"
logged "$build/link.log" wasm-ld-22 --import-memory --shared-memory --max-memory=4294967296 --global-base=65536 \
  --no-stack-first -z stack-size=16 --export-table --no-entry --no-gc-sections $(printf -- '--export=%s ' $exports) \
  arch/wasm/kernel/tables.o --whole-archive vmlinux.a init/version-timestamp.o --no-whole-archive lib/lib.a \
  arch/wasm/lib/lib.a -o "../vmlinux$variant.wasm"
cd ..

step "gdb scripts"
logged "$build/gdb.log" kmake scripts_gdb
# What gdb's "source vmlinux-gdb.py" needs beside the kernel. The links lead to the sources.
tar --create --dereference --sort=name --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  --exclude='.*' --exclude=__pycache__ --exclude=Makefile -f gdb-scripts.tar -C "kernel$variant" vmlinux-gdb.py scripts/gdb

step "user space"
logged "$build/headers.log" kmake headers
user="$build/user"
mkdir -p "$user/root"
flags="--target=wasm32-unknown-unknown -matomics -mbulk-memory -ffreestanding -nostdlibinc -std=gnu11 -O1 -fPIC
  -fvisibility=hidden -fno-builtin -isystem $build/kernel$variant/usr/include -Wall -Wextra -Werror
  -Wno-unused-command-line-argument"
objects=
for source in "$here"/user/*.S "$here"/user/*.c; do
  object=$user/$(basename "$source").o
  debug="-g -gdwarf-5 -ffile-compilation-dir=. -ffile-prefix-map=$here/= -ffile-prefix-map=$build/="
  [ "${source##*.}" = c ] || debug=
  clang-22 $flags $debug -c "$source" -o "$object"
  objects="$objects $object"
done
wasm-ld-22 -shared --experimental-pic --shared-memory --max-memory=4294967296 --no-entry $objects -o "$user/box"
python3 "$here/mkcpio.py" "$user/box" initramfs.cpio
ls -l "vmlinux$variant.wasm" initramfs.cpio gdb-scripts.tar

[ -n "$bundle" ] || exit 0
step "bundle"
mkdir -p "$bundle"
for file in vmlinux.wasm initramfs.cpio gdb-scripts.tar; do
  nice -n 19 zstd -q -f --ultra -22 --long=27 $file -o "$bundle/$file.zst"
  chmod 644 "$bundle/$file.zst"
done
cd "$here/../.."
find scripts/linux-guest -type f ! -name '*.md' | sort | xargs sha256sum >"$bundle/SOURCES.sha256"
ls -l "$bundle"
