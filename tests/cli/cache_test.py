#!/usr/bin/env python3
"""kguard cache: over a tier that another program wrote (tests/cache/make_entries.py)."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
KGUARD = os.path.join(OBJDIR, "kguard")
failures = []


def expect(what, good):
    if not good:
        failures.append(what)
        print("FAIL:", what)


def kguard(*arguments, code=0, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KGUARD") and k != "XDG_CACHE_HOME"}
    env.update(environment)
    done = subprocess.run([KGUARD, "cache", *arguments], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)
    expect("kguard cache %s: exit %d, not %d: %s" % (" ".join(arguments), done.returncode, code, done.stderr),
           done.returncode == code)
    kguard.complaint = done.stderr
    return done.stdout


def files(tier):
    return sorted(os.path.join(d, f) for d, _, names in os.walk(tier) for f in names if len(f) == 79)


with tempfile.TemporaryDirectory() as folder:
    tier, copy, own = (os.path.join(folder, name) for name in ("tier", "copy", "own"))
    shutil.copytree(os.path.join(ROOT, "tests/cache/tree"), tier)
    for d, _, names in os.walk(tier):
        os.chmod(d, 0o755)
        for name in names:
            os.chmod(os.path.join(d, name), 0o644)

    lines = [json.loads(line) for line in kguard("list", "-c", tier, "-f", "json").splitlines()]
    expect("three entries", len(lines) == 3)
    expect("all good", all(e["state"] == "good" and e["target"] == "sm_90a" for e in lines))
    expect("by both", {e["by"] + " " + e["build"] for e in lines} == {"ptxas V13.0.88", "driver 580.95.05"})
    expect("cost", sorted(e["cost_ms"] for e in lines) == [0, 0, 1500])
    option = [e["key"] for e in lines if e["options"] == "-O1"][0]
    plain = [e["key"] for e in lines if e["options"] == ""][0]
    expect("in order", [e["key"] for e in lines] == sorted(e["key"] for e in lines))
    text = kguard("list", "-c", tier)
    expect("list text", option[:16] + "  good          sm_90a            13 -> 3840 " in text and
           "ptxas V13.0.88  options -O1\n" in text)
    expect("verify", kguard("verify", "-c", tier) == "3 entries, 0 bad\n")

    # Why: the other compiler's, and the same input under another key.
    text = kguard("explain", option[:8], "-c", tier)
    expect("explain", text.startswith(option[:16] + "  good") and "the same input, otherwise:" in text and
           text.count(plain[:16]) == 2)
    expect("explain nothing", kguard("explain", "00000000", "-c", tier, code=1).startswith("absent"))
    kguard("explain", "xyz", "-c", tier, code=2)
    kguard("explain", code=2)
    kguard("dance", code=2)
    kguard(code=2)
    kguard("list", "--format=xml", code=2)

    # As a read-only tier, copied out, copied in.
    expect("shared", kguard("list", KGUARD_CACHE_RO=tier, KGUARD_CACHE_DIR=own).count(tier) == 3)
    expect("export", kguard("export", copy, "-c", tier) == "3 entries copied\n")
    expect("same bytes", subprocess.run(["diff", "-r", tier, copy]).returncode == 0)
    expect("import", kguard("import", copy, KGUARD_CACHE_DIR=own) == "3 entries copied\n")
    expect("verified", kguard("verify", KGUARD_CACHE_DIR=own) == "3 entries, 0 bad\n")
    kguard("import", os.path.join(folder, "nothing"), KGUARD_CACHE_DIR=own, code=3)
    kguard("import", __file__, KGUARD_CACHE_DIR=own, code=3)
    for action in (["verify"], ["stats"], ["gc"], ["export", copy]):
        kguard(*action, "-c", os.path.join(folder, "nothing"), code=3)
    expect("none yet", kguard("verify", HOME=folder) == "0 entries, 0 bad\n")
    expect("a relative tier is not looked at",
           kguard("list", KGUARD_CACHE_RO=tier + ":lib:/no", KGUARD_CACHE_DIR=own).count(tier) == 3)
    expect("limit", "of at most 10.0 KiB" in kguard("stats", KGUARD_CACHE_DIR=own, KGUARD_CACHE_MAX_SIZE="10K"))
    kguard("gc", KGUARD_CACHE_DIR=own, KGUARD_CACHE_MAX_SIZE="10K")
    expect("gc keeps the bound", len(files(own)) == 2)

    # Damage is found, said, and removed.
    bad = files(tier)[0]
    with open(bad, "r+b") as f:
        f.seek(1000)
        f.write(b"damage")
    text = kguard("verify", "-c", tier, code=1)
    expect("damage", "  damaged " in text and "3 entries, 1 bad" in text)
    kguard("gc", "-c", tier)
    expect("removed", not os.path.exists(bad) and len(files(tier)) == 2)

    # Whose it is.
    os.chmod(tier, 0o777)
    kguard("list", "-c", tier, code=3)
    kguard("import", tier, "-c", own, code=3)
    expect("whose: " + kguard.complaint, "from " + tier + " to " + own + ": not yours alone" in kguard.complaint)
    os.chmod(tier, 0o755)
    stats = json.loads(kguard("stats", "-f", "json", "-c", tier))
    expect("stats", stats["entries"] == 2 and stats["place"] == tier and stats["limit"] == 2 << 30)
    kguard("clear", "-c", tier)
    expect("cleared", not files(tier))

    # What processes ask for is counted once: a miss at the load, looked at again before it is compiled.
    asked = os.path.join(folder, "asked")
    os.mkdir(asked, 0o700)
    for hits in (0, 1):
        subprocess.run([os.path.join(OBJDIR, "scenarios/s60_jit_library"), "run", "x"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env=dict(os.environ, KGUARD_JIT="auto", KGUARD_CACHE_DIR=asked,
                                LD_LIBRARY_PATH=os.path.join(OBJDIR, "fake/580"),
                                KGFAKE_LINKED="tests/scenarios/jit/voxelize.sm_120.cubin",
                                LD_PRELOAD=os.path.join(OBJDIR, "libkguard.so")))
        stats = json.loads(kguard("stats", "-f", "json", "-c", asked))
        expect("counted: %s" % stats, (stats["hits"], stats["misses"], stats["stores"]) == (hits, 1, 1))
    expect("no place", "none: set KGUARD_CACHE_DIR or HOME" in kguard("stats", HOME=""))

sys.exit(1 if failures else 0)
