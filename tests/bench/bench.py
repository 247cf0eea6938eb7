#!/usr/bin/env python3
"""make bench: what the library costs a program that works, and one that knows nothing of CUDA.

Everything is measured side by side in one run against the fake driver, whose calls do next to
nothing: the added cost stands in the open. Counts (instructions, calls of allocators and locks,
system calls) are differences between N and 2 N calls, so that start-up does not enter.
"""

import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

OBJDIR = os.path.abspath(os.environ.get("OBJDIR", "build"))
BENCH = os.path.join(OBJDIR, "bench")
SHIM = os.path.join(OBJDIR, "libkguard.so")
PATH = {"LD_LIBRARY_PATH": f"{OBJDIR}/fake:{BENCH}"}
N = 2000

ALLOCATORS = {"malloc", "calloc", "realloc", "free", "posix_memalign", "mmap", "munmap", "brk"}
LOCKS = {"kgi_lock", "pthread_mutex_lock", "__lll_lock_wait", "pthread_rwlock_rdlock"}


def run(command, preload=SHIM, **more):
    environment = {**os.environ, **PATH, "LD_PRELOAD": preload}
    return subprocess.run(command, env=environment, check=True, text=True, **more)


def under(tool, command):
    """A tool started without the library, its target with it."""
    environment = {**os.environ, **PATH}
    subprocess.run([*tool, *command], env=environment, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def profile(kind, count, preload):
    """Instructions of the run, and how often each function was called, by callgrind."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        under(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
               "--trace-children=yes", "env", f"LD_PRELOAD={preload}"],
              [f"{BENCH}/calls", "loop", kind, str(count)])
        names, calls, total, called = {}, collections.Counter(), 0, None
        for line in open(out):
            if found := re.match(r"c?fn=\((\d+)\)(?: (.*))?", line):
                if found[2]:
                    names[found[1]] = found[2].split("'")[0].split("@")[0]
                if line[0] == "c":
                    called = names[found[1]]
            elif line.startswith("calls="):
                calls[called] += int(line[6:].split()[0])
            elif line.startswith(("totals:", "summary:")):
                total = int(line.split()[1])
        return total, calls


def system_calls(kind, count):
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        under(["strace", "-f", "-o", out, "-E", f"LD_PRELOAD={SHIM}"],
              [f"{BENCH}/calls", "loop", kind, str(count)])
        return sum(1 for line in open(out) if "(" in line)


def counts(kind):
    """Per call, with the library: extra instructions, allocations, locks, system calls."""
    once, twice = profile(kind, N, SHIM), profile(kind, 2 * N, SHIM)
    bare_once, bare_twice = profile(kind, N, ""), profile(kind, 2 * N, "")
    extra = ((twice[0] - once[0]) - (bare_twice[0] - bare_once[0])) / N

    def more(names):
        with_shim = sum(twice[1][n] - once[1][n] for n in names)
        return (with_shim - sum(bare_twice[1][n] - bare_once[1][n] for n in names)) / N

    calls = (system_calls(kind, 2 * N) - system_calls(kind, N)) / N
    return extra, more(ALLOCATORS), more(LOCKS), calls


def times(kind):
    """p50 and p99 without, p50 and p99 with: of five runs, the one with the median difference of
    p99, since what else the machine does shows there first."""
    runs = []
    for _ in range(5):
        out = run([f"{BENCH}/calls", kind], stdout=subprocess.PIPE).stdout.split()
        runs.append([float(word) for word in out[1:]])
    return sorted(runs, key=lambda r: r[3] - r[1])[2]


def main():
    failed = False

    def row(what, value, unit, limit=None):
        nonlocal failed
        bad = limit is not None and value > limit
        failed |= bad
        limit = "" if limit is None else f"  (at most {limit}){'  MISSED' if bad else ''}"
        print(f"  {what:<44}{value:10.2f} {unit}{limit}")

    for kind, call, fifty, ninety_nine in (
        ("launch", "cuLaunchKernel that works", 5, 20),
        ("runtime", "cudaLaunchKernel that works", None, None),
        ("load", "cuModuleLoadData that works", 20000, None),
    ):
        raw50, raw99, with50, with99 = times(kind)
        print(f"{call}: {raw50:.1f} ns without, {with50:.1f} ns with (p50), "
              f"{raw99:.1f} and {with99:.1f} ns (p99)")
        row("ratio of p50", with50 / raw50, "")
        row("added, p50", with50 - raw50, "ns", fifty)
        row("added, p99", with99 - raw99, "ns", ninety_nine)
        if kind != "load":
            for what, value in zip(("instructions", "allocations", "locks", "system calls"),
                                   counts(kind)):
                row(f"{what} added per launch", value, "", None if what == "instructions" else 0)

    pairs = os.environ.get("PAIRS", "4000")
    # Copies, as an installation makes: what ld has just written lies in the page cache in pieces of a
    # page, and faults there cost twice as much.
    with tempfile.TemporaryDirectory() as directory:
        copies = [shutil.copy(library, directory) for library in (f"{BENCH}/libempty.so", SHIM)]
        out = run([f"{BENCH}/exec", pairs, *copies], preload="", stdout=subprocess.PIPE).stdout
    empty, shim, empty_faults, shim_faults = map(float, out.split())
    print(f"/bin/true preloaded: {empty:.1f} us with an empty library, {shim:.1f} us with ours (p25)")
    row("added per exec", shim - empty, "us", 10)
    row("page faults added per exec", shim_faults - empty_faults, "", 2)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
