#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the variant of the kernel that runs its own tests when it boots, boots it under wkdb, and says what passed.
# Fails unless every case passes but those that ktap.py names and explains.
#
# WKDB is the command to boot with (default: cargo run). LINUX_GUEST_BUILD and JOBS are as in build.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${LINUX_GUEST_BUILD:-$root/target/linux-guest}
wkdb=${WKDB:-cargo run --quiet --manifest-path $root/Cargo.toml --}

VARIANT=kunit LINUX_GUEST_BUILD=$build "$here/build.sh"
cd "$build"
# The shell answers when all tests have run.
printf 'expect "\\n# "\nsend "echo over\\n"\nexpect "over\\r\\n# "\n' >kunit.script
# Some tests compute for long without a word. 50 000 entries for each thread are more than one allocation can have. The test
# of initialised memory wants it switched on.
append="kunit.enable=1 test_rhashtable.parm_entries=10000 init_on_alloc=1 init_on_free=1"
ended=0
$wkdb run vmlinux-kunit.wasm --initrd initramfs.cpio --cpus 4 --input kunit.script --expect-timeout 4000s --stall 600s \
  --append "$append" --until script --max-time 5000s \
  >kunit.log 2>kunit.err || ended=$?
if [ $ended != 0 ]; then
  tail -n 40 kunit.log kunit.err
  echo "the run ended with code $ended: see $build/kunit.log"
  exit 1
fi
python3 "$here/ktap.py" kunit.log
