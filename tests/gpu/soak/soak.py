#!/usr/bin/env python3
"""soak.c twice at the same time, with libkguard.so preloaded and without, and what came of it.

    soak.py SECONDS [THREADS]

Over build/fake with KG_FAKE set (make check does), else on this machine's GPU, with what
tests/gpu/prepare.sh made. Shown: neither run crashes or gets a wrong answer; the process does not grow
with the library more than without; every failure that the program met was counted, in this process and
in every child that came to its end, and reported in each of them. Results: lines here and in $OUT/soak.txt.
"""
import collections
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
OBJDIR = os.path.join(ROOT, os.environ.get("OBJDIR", "build"))
SHIM = os.path.join(ROOT, os.environ.get("KGUARD_SO", os.path.join(OBJDIR, "libkguard.so")))
FAKE = os.environ.get("KG_FAKE")
GPU = os.path.join(ROOT, "build-gpu")
CASES = os.path.join(ROOT, "tests", "gpu", "cases")
VOXELIZE, SCALE = "_Z15voxelize_kernelPfi", "_Z12scale_kernelPfi"
SECONDS, THREADS = sys.argv[1], (sys.argv[2:] + ["32"])[0]
OTHER = [os.path.join(CASES, name) for name in
         ("isa_9.1.ptx" if FAKE else "isa_9.9.ptx", "invalid.ptx", "garbage.ptx", "bad_magic.fatbin")]
ROOM_KIB = 8 << 10  # what a heap's fragments may differ by between two runs

WORK = tempfile.mkdtemp(prefix="kguard-soak.")
LOG = os.path.join(WORK, "log")
failed = []


def tell(good, what):
    if not good:
        failed.append(what)
    line = f"{'ok' if good else 'FAIL'} {what}"
    print(line, flush=True)
    lines.append(line)


def command():
    if FAKE:
        examples = os.path.join(ROOT, "examples")
        return [os.path.join(OBJDIR, "soak"), SECONDS, THREADS,
                os.path.join(examples, "voxelize.sm_120.fatbin"), VOXELIZE,
                os.path.join(examples, "voxelize.sm_60-90.fatbin"), VOXELIZE, *OTHER]
    fat = os.path.join(GPU, "fat")
    return [os.path.join(GPU, "bin", "soak"), SECONDS, THREADS, os.path.join(fat, "good.fatbin"), SCALE,
            os.path.join(fat, "bad.fatbin"), VOXELIZE, *OTHER]


def start(preload, name):
    env = {key: value for key, value in os.environ.items() if not key.startswith("KGUARD_")}
    env.update(LD_PRELOAD=preload, KGUARD_LOG_FORMAT="json", KGUARD_LOG_FILE=LOG)
    if FAKE:
        env["LD_LIBRARY_PATH"] = f"{FAKE}/580:{FAKE}"
    else:
        env.update(SOAK_VALUES="1", SOAK_PLUGIN=os.path.join(GPU, "bin", "libpart13.so"))
    out, err = (open(os.path.join(WORK, name + kind), "w+") for kind in (".out", ".err"))
    return subprocess.Popen(command(), env=env, stdout=out, stderr=err), out, err


def result(run):
    process, out, err = run
    status = process.wait()
    out.seek(0), err.seek(0)
    return status, [line.split() for line in out], err.read()


def quarters(rows, column):
    """Medians of the second and the last quarter: the first is for warming up."""
    values = [int(row[column]) for row in rows if row[0] == "rss"] or [0]
    part = len(values) // 4
    return statistics.median(values[part:2 * part] or values), statistics.median(values[-part:] or values)


lines = []
began = time.monotonic()
runs = {name: start(preload, name) for name, preload in (("plain", ""), ("with", SHIM))}
status, rows, said = {}, {}, {}
for name, run in runs.items():
    status[name], rows[name], said[name] = result(run)
print(f"{time.monotonic() - began:.0f} s; {THREADS} threads each")

for name in runs:
    end = rows[name][-1] if rows[name] else []
    tell(status[name] == 0 and end[:1] == ["self"] and not said[name],
         f"{name}: ends well, every answer as it should be: exit {status[name]}; "
         + ("{} failures, {} loads, {} launches, {} children".format(*end[2:]) if end[:1] == ["self"] else
            "no last line") + (f"; {said[name][:300]}" if said[name] else ""))

grown, done = {}, {}
for name in runs:
    (early, late), (files, files_late) = quarters(rows[name], 2), quarters(rows[name], 3)
    grown[name] = late - early
    done[name] = max(1, sum(map(int, rows[name][-1][2:4]))) if rows[name][-1:] and len(rows[name][-1]) == 6 else 1
    tell(files_late <= files + 2, f"{name}: open files {files:g} early, {files_late:g} late")
    print(f"   {name}: resident {early / 1024:.1f} MiB in the second quarter, {late / 1024:.1f} in the last")
# A driver may keep something of each load; what is asked is that the library adds nothing to it.
tell(grown["with"] <= max(grown["plain"], 0) * done["with"] / done["plain"] + ROOM_KIB,
     f"memory from the second to the last quarter: {grown['plain'] / 1024:+.1f} MiB without, "
     f"{grown['with'] / 1024:+.1f} with")

# What kguard counted and reported, by process.
counted, reported = collections.Counter(), collections.Counter()
summaries = collections.Counter()
events = 0
if os.path.exists(LOG):
    for line in open(LOG):
        event = json.loads(line)
        events += 1
        if event["event"] == "summary":
            counted[event["pid"]] += event["count"]
            summaries[event["pid"]] += 1
        elif event["event"] == "failure":
            reported[event["pid"]] += 1
met, ended, children = collections.Counter(), collections.Counter(), collections.Counter()
for row in rows["with"]:
    if row[0] == "self":
        met[int(row[1])] += int(row[2])
        ended[int(row[1])] += 1
    elif row[0] == "child":
        children[int(row[1])] += 1
        if row[3] in ("0", "3"):
            met[int(row[1])] += int(row[2])
            ended[int(row[1])] += 1
tell(met == counted and ended == summaries,
     f"counted: {sum(met.values())} failures met, {sum(counted.values())} counted by kguard, in "
     f"{sum(ended.values())} processes that came to their end")
missing = [pid for pid in children if reported[pid] < 1]
tell(not missing and children, f"reported in each of {sum(children.values())} children, "
     f"{sum(children.values()) - sum(ended.values()) + 1} of which ended by abort() or _exit()")
strange = set(reported) - set(children) - set(met)
tell(not strange, f"no process but these reported anything; {events} lines in all"
     + (f": {sorted(strange)[:5]}" if strange else ""))

out = os.environ.get("OUT")
if out:
    with open(os.path.join(out, "soak.txt"), "w") as f:
        f.write("\n".join(lines) + "\n\n")
        for name in runs:
            f.write("".join(f"{name} {' '.join(row)}\n" for row in rows[name] if row[0] != "child"))
    if failed:
        with gzip.open(os.path.join(out, "soak-log.gz"), "wt") as f:
            for line in open(LOG) if os.path.exists(LOG) else ():
                f.write(line)
shutil.rmtree(WORK)
print(f"{len(lines) - len(failed)} passed, {len(failed)} failed")
sys.exit(1 if failed else 0)
