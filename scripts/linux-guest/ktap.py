#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ktap.py LOG: what a kernel's own tests said, in its console's log.

Prints the suites of KUnit and the older self-tests that passed. Fails unless every suite that was announced reported, every
case passed but those of KNOWN, and every older test of OLDER said what it says when it passes.
"""
import re
import sys

# Cases that fail, and why. One that passes again is to be taken from here.
KNOWN = {
    "overflow/DEFINE_FLEX_test":
        "the test (of 6.12) expects the whole structure's dynamic size to follow __counted_by; clang does that no more since "
        "19.1.3 (llvm-project pull request 112636) and says 12, the true size. Corrected in Linux 6.15 "
        "(ClangBuiltLinux issue 2074). The same on x86-64.",
}

# Tests that are older than KUnit, and what they print at their end.
OLDER = {
    "hexdump": r"test_hexdump: all \d+ tests passed",
    "bitops": r"test_bitops: Completed bitops test",
    "ida": r"IDA: (\d+) of \1 tests passed",
    "min_heap": r"min_heap_test: test passed",
    "printf": r"test_printf: all \d+ tests passed",
    "scanf": r"test_scanf: all \d+ tests passed",
    "bitmap": r"test_bitmap: all \d+ tests passed",
    "uuid": r"test_uuid: all \d+ tests passed",
    "xarray": r"XArray: (\d+) of \1 tests passed",
    "memcat_p": r"test_memcat_p: test passed",
    "div64": r"test_div64: Completed 64bit/32bit division and modulo test",
    "atomic64": r"atomic64_test: passed",
    "ww_mutex": r"All ww mutex selftests passed",
    "rhashtable": r"Started \d+ threads, 0 failed, rhltable test returns 0",
    "maple_tree": r"maple_tree: (\d+) of \1 tests passed",
    "meminit": r"test_meminit: all \d+ tests passed",
    "free_pages": r"test_free_pages: Test completed",
    "muldiv64": r"Completed mul_u64_u64_div_u64\(\) test",
    "crc32": r"crc32: self tests passed",
    "crc32c": r"crc32c: self tests passed",
    "prandom": r"prandom: \d+ self tests passed",
    "lwq": r"lwq: dequeue remaining:( \d+)+",
    "rbtree": r"augmented rbtree testing",
    "interval_tree": r"interval tree search",
    "backtrace": r"end of backtrace testing",
}


def lines(path):
    with open(path, errors="replace") as log:
        for line in log:
            # The console's time stamp; what is behind it keeps its indentation, which is the nesting.
            yield re.sub(r"^(?:# )?\[ *\d+\.\d+\] ", "", line.rstrip("\r\n"))


def main(path):
    text = list(lines(path))
    failed = []
    suites = []
    cases = []
    plan = None
    passed = skipped = 0
    for line in text:
        announced = re.match(r"1\.\.(\d+)$", line)
        if announced and plan is None:
            plan = int(announced[1])
        result = re.match(r"( *)(ok|not ok) \d+ (\S+)( # SKIP.*)?", line)
        if not result:
            continue
        indent, outcome, name, skip = result.groups()
        if len(indent) == 4:
            cases.append((name, outcome == "ok", bool(skip)))
        elif not indent:
            bad = [case for case, good, _ in cases if not good]
            failed += [f"{name}/{case}" for case in bad]
            if outcome != "ok" and not bad:
                failed.append(name)
            passed += sum(good and not skip for _, good, skip in cases)
            skipped += sum(skip for _, _, skip in cases)
            suites.append((name, len(cases), bool(skip)))
            cases = []
    print(f"KUnit: {len(suites)} of {plan} suites, {passed} cases passed, {skipped} skipped, {len(failed)} failed")
    print("  " + ", ".join(f"{name} ({count})" if not skip else f"{name} (skipped)" for name, count, skip in suites))
    older = {name: any(re.search(says, line) for line in text) for name, says in OLDER.items()}
    print("older self-tests: " + ", ".join(name for name, good in older.items() if good))
    problems = [f"{name} failed" for name in failed if name not in KNOWN]
    problems += [f"{name} of {path}: no word that it passed" for name, good in older.items() if not good]
    problems += [f"{name} is said to fail, and did not: take it from the list" for name in KNOWN if name not in failed]
    if plan is None or len(suites) != plan:
        problems.append(f"{len(suites)} suites reported, {plan} were announced")
    for name in failed:
        if name in KNOWN:
            print(f"known: {name}: {KNOWN[name]}")
    for problem in problems:
        print("FAILED: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
