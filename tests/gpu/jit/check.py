#!/usr/bin/env python3
"""check.sh and bench.sh: KGUARD_JIT on a real GPU, from build/libkguard.so and build-gpu/jit.

    check.py check|bench [PATTERN...]

A check runs a program three times: without kguard, with KGUARD_JIT=auto and an empty cache, and again
with what that left there. Output and exit code must be the same, the second run must compile, the third
must not. Lines `ok NAME`, `FAIL NAME: why`, `SKIP NAME: why`; the end is a tally. Times are medians of
fresh processes that ran in turns. All of it goes to $OUT/jit-check.txt or jit-bench.txt too.
"""
import concurrent.futures
import functools
import json
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
JIT = os.path.join(ROOT, "build-gpu", "jit")
SHIM = os.path.join(ROOT, os.environ.get("KGUARD_SO", "build/libkguard.so"))
WORK = tempfile.mkdtemp(prefix="kguard-jit.")
OUT = os.environ["OUT"]
PTXAS = os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin", "ptxas")
WHAT, PATTERNS = sys.argv[1], sys.argv[2:]
START = time.monotonic()
os.makedirs(OUT, exist_ok=True)
log = open(os.path.join(OUT, f"jit-{WHAT}.txt"), "w")
tally = {"ok": 0, "FAIL": 0, "SKIP": 0}


def say(line):
    print(line, flush=True)
    log.write(line + "\n")
    log.flush()


def tell(kind, name, why=""):
    tally[kind] += 1
    say(f"{kind} {name}" + (f": {why}" if why else ""))


def wanted(name):
    return not PATTERNS or any(p in name for p in PATTERNS)


def fresh(name):
    return tempfile.mkdtemp(prefix=re.sub(r"\W+", "_", name) + ".", dir=WORK)


class Run:
    """One process. cache: kguard's cache, None = without kguard; driver: the driver's cache."""

    def __init__(self, argv, cache=None, driver=None, env=None, quiet=False, cwd=None, cpus=None):
        full = {k: v for k, v in os.environ.items()
                if not k.startswith(("KGUARD", "LD_PRELOAD", "CUDA_CACHE", "CUDA_MODULE"))}
        full["CUDA_CACHE_PATH"] = driver or fresh("driver")
        events = os.path.join(fresh("log"), "events")
        if cache:
            full.update(LD_PRELOAD=SHIM, KGUARD_JIT="auto", KGUARD_CACHE_DIR=cache)
            if not quiet:
                full.update(KGUARD_LOG="debug", KGUARD_LOG_FORMAT="json", KGUARD_LOG_FILE=events)
        full.update(env or {})
        done = subprocess.run(argv, env=full, capture_output=True, timeout=240, cwd=cwd,
                              stdin=subprocess.DEVNULL,
                              preexec_fn=cpus and (lambda: os.sched_setaffinity(0, cpus)))
        self.rc, self.out = done.returncode, done.stdout.decode(errors="replace")
        self.err = done.stderr.decode(errors="replace")
        self.events = []
        if os.path.exists(events):
            with open(events, errors="replace") as f:
                self.events = [json.loads(line) for line in f if line.startswith("{")]

    def count(self, action):
        return sum(e.get("action") == action for e in self.events)

    def told(self):
        return "; ".join(f"{e.get('action')}: {e.get('message')}" for e in self.events
                         if e.get("event") == "jit")[:600]

    def number(self, key):
        found = re.search(rf"^{key}=([0-9.]+)$", self.err, re.M)
        if not found:
            raise RuntimeError(f"no {key}: rc {self.rc}, {self.out[-200:]!r}, {self.err[-200:]!r}")
        return float(found[1])


# ---- checks ------------------------------------------------------------------------------------------


def same(plain, run, which, stderr=False):
    problems = []
    if run.rc != plain.rc:
        problems.append(f"{which}: exit code {plain.rc} became {run.rc}: {run.err[-200:]!r}")
    if run.out != plain.out:
        a, b = plain.out.splitlines(), run.out.splitlines()
        first = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        problems.append(f"{which}: output differs at line {first + 1}: {a[first:first + 1]} became "
                        f"{b[first:first + 1]}")
    if stderr and run.err != plain.err:
        problems.append(f"{which}: stderr became {run.err[-200:]!r}")
    return problems


def three(name, argv, env=None, jit=True, stderr=True, expect_rc=0, cwd=None):
    """Plain, cold, warm."""
    cache = fresh("cache")
    plain = Run(argv, env=env, cwd=cwd)
    cold = Run(argv, cache, env=env, cwd=cwd)
    warm = Run(argv, cache, env=env, cwd=cwd)
    problems = same(plain, cold, "cold", stderr) + same(plain, warm, "warm", stderr)
    if plain.rc != expect_rc:
        problems.append(f"does not run here even without kguard: rc {plain.rc} {plain.out[-200:]!r} "
                        f"{plain.err[-300:]!r}")
    if jit and not cold.count("compiled"):
        problems.append(f"nothing compiled: {cold.told()}")
    if jit and (warm.count("compiled") or not warm.count("hit")):
        problems.append(f"warm: {warm.count('hit')} hits, {warm.count('compiled')} compiled: "
                        f"{warm.told()}")
    for run, which in ((cold, "cold"), (warm, "warm")):
        if run.count("refused") or (jit and run.count("failed")):
            problems.append(f"{which}: {run.told()}")
    return problems, plain, cold, warm


def values(name, version, kind, mode, what):
    argv = [os.path.join(JIT, f"values-{version}-{kind}")] + [what] * (what != "all")
    env = {"CUDA_MODULE_LOADING": mode}
    return three(name, argv, env, jit=version != "11.8", stderr=what == "all")[0]


def context(name, what, mode, size="."):
    argv = [os.path.join(JIT, "contexts"), what, os.path.join(JIT, size, "device.fatbin"),
            os.path.join(JIT, size, "device.ptx")]
    return three(name, argv, {"CUDA_MODULE_LOADING": mode})[0]


def stored(name, which):
    """The ptxas options stored with the PTX count as they do for the driver."""
    argv = [os.path.join(JIT, "contexts"), "registers",
            os.path.join(ROOT, "tests", "gpu", "cases", f"options_{which}.fatbin"),
            os.path.join(JIT, "device.ptx")]
    problems, plain, _, _ = three(name, argv)
    say(f"   {name}: {plain.out.split()[-4:]}")
    by_ptxas_too, _, _, _ = three(name, argv, {"KGUARD_PTXAS": PTXAS})
    return problems + [f"by ptxas: {p}" for p in by_ptxas_too]


def forced(name):
    """SASS is there and passed over, for this library alone."""
    argv = [os.path.join(JIT, "contexts"), "globals", os.path.join(JIT, "both.fatbin"),
            os.path.join(JIT, "device.ptx")]
    env = {"KGUARD_JIT": "force", "KGUARD_JIT_ONLY": "nothing:cont*ts"}
    problems, _, _, _ = three(name, argv, env)
    other = Run(argv, fresh("cache"), env={"KGUARD_JIT": "force", "KGUARD_JIT_ONLY": "other*"})
    if other.count("compiled") or other.count("hit"):
        problems.append(f"another library was forced: {other.told()}")
    return problems


def by_ptxas(name):
    argv = [os.path.join(JIT, "values-13.0-shared")]
    problems, _, cold, _ = three(name, argv, {"KGUARD_PTXAS": PTXAS})
    cache = fresh("cache")
    Run(argv, cache, env={"KGUARD_PTXAS": PTXAS})
    later = Run(argv, cache)
    if later.count("compiled") or "by ptxas" not in later.told():
        problems.append(f"not found without KGUARD_PTXAS: {later.told()}")
    return problems


def too_new(name):
    """PTX of a later toolkit: 222 without kguard; with a ptxas that reads it, it runs."""
    argv = [os.path.join(JIT, "first"), "module", os.path.join(JIT, "too_new.ptx"), "k_bounds"]
    script = os.path.join(fresh("ptxas"), "ptxas")
    with open(script, "w") as f:
        f.write("#!/bin/bash\n"
                f"[ \"$1\" = --version ] && exec {PTXAS} --version\n"
                "arguments=()\nfor a; do\n  case $a in\n  /proc/self/fd/*)\n"
                "    if [ -z \"$input\" ]; then input=$(mktemp); sed 's/^\\.version 9.9/.version 9.0/' "
                "\"$a\" >$input; a=$input; fi ;;\n  esac\n  arguments+=(\"$a\")\ndone\n"
                f"{PTXAS} \"${{arguments[@]}}\"\n")
    os.chmod(script, 0o755)
    plain, off = Run(argv), Run(argv, fresh("cache"))
    cache = fresh("cache")
    cold, warm = (Run(argv, cache, env={"KGUARD_PTXAS": script}) for _ in range(2))
    problems = same(plain, off, "without a ptxas")
    if "= 222" not in plain.out:
        problems.append(f"not 222 without kguard: {plain.out!r}")
    for run, which, action in ((cold, "cold", "compiled"), (warm, "warm", "hit")):
        if run.rc or not run.count(action):
            problems.append(f"{which}: rc {run.rc} {run.out!r} {run.told()}")
    return problems


def bad_ptxas(name):
    """A ptxas that crashes, hangs or lies: the driver does it."""
    argv = [os.path.join(JIT, "values-13.0-shared")]
    plain, problems = Run(argv), []
    for what, body in (("crashes", "kill -SEGV $$"), ("lies", "echo no cubin >${@: -1}"),
                       ("fails", "echo no >&2; exit 1")):
        script = os.path.join(fresh("ptxas"), "ptxas")
        with open(script, "w") as f:
            f.write(f"#!/bin/bash\n[ \"$1\" = --version ] && exec {PTXAS} --version\n{body}\n")
        os.chmod(script, 0o755)
        run = Run(argv, fresh("cache"), env={"KGUARD_PTXAS": script})
        problems += same(plain, run, what)
        if not run.count("failed") or run.count("compiled") != 1:
            problems.append(f"{what}: {run.told()}")
    return problems


def damaged(name):
    argv = [os.path.join(JIT, "values-13.0-shared")]
    cache = fresh("cache")
    plain, _ = Run(argv), Run(argv, cache)
    entries = [os.path.join(d, f) for d, _, files in os.walk(cache) for f in files
               if re.fullmatch(r"[0-9a-f]{62}\.[0-9a-f]{16}", f)]
    problems = [] if entries else ["no entry was written"]
    for path in entries:
        with open(path, "r+b") as f:
            f.seek(-2000, os.SEEK_END)
            byte = f.read(1)
            f.seek(-2000, os.SEEK_END)
            f.write(bytes([byte[0] ^ 4]))
    healed, again = Run(argv, cache), Run(argv, cache)
    problems += same(plain, healed, "damaged") + same(plain, again, "healed")
    if not healed.count("compiled") or again.count("compiled"):
        problems.append(f"not healed: {healed.told()} / {again.told()}")
    return problems


def entries_of(cache):
    """What a cache holds: {kernel, or None for a whole: its cubin}; not what has no kernels at all."""
    found = {}
    for folder, _, files in os.walk(cache):
        for file in files:
            if not re.fullmatch(r"[0-9a-f]{62}\.[0-9a-f]{16}", file):
                continue
            with open(os.path.join(folder, file), "rb") as f:
                entry = f.read()
            start, size = struct.unpack_from("<I", entry, 12)[0], struct.unpack_from("<Q", entry, 48)[0]
            kernel = re.search(rb"kernel ([\w$]+)", entry[72:start])
            if b".text." in entry[start:start + size]:
                found[kernel and kernel[1].decode()] = entry[start:start + size]
    return found


def sections(elf):
    """{name: bytes} of those that a kernel's code and constants are in, and the size of its shared memory."""
    at, = struct.unpack_from("<Q", elf, 40)
    each, count, names = struct.unpack_from("<HHH", elf, 58)
    rows = [struct.unpack_from("<IIQQQQ", elf, at + i * each) for i in range(count)]
    strings = elf[rows[names][4]:rows[names][4] + rows[names][5]]
    found = {strings[r[0]:strings.index(b"\0", r[0])].decode(): r for r in rows}
    return {name: r[5] if name.startswith(".nv.shared.") else elf[r[4]:r[4] + r[5]] for name, r in found.items()
            if name.startswith((".text.", ".nv.constant0.", ".nv.shared."))}


def kernels(name, mode, route, file, numbers, expect_pieces, expect_whole):
    """Kernels of a large module, one after the other: so many compiled alone, the whole or not."""
    argv = [os.path.join(JIT, "first"), route, os.path.join(JIT, file)]
    cache = fresh("cache")
    argv += [f"big_{n}" for n in numbers]
    env = {"CUDA_MODULE_LOADING": mode}
    plain = Run(argv, env=env)
    cold, warm = Run(argv, cache, env=env), Run(argv, cache, env=env)
    problems = same(plain, cold, "cold") + same(plain, warm, "warm")
    made = entries_of(cache)
    pieces = len(made) - (None in made)
    if (pieces, None in made) != (expect_pieces, expect_whole) or cold.count("compiled") != len(made):
        problems.append(f"{pieces} pieces, whole: {None in made}, {cold.count('compiled')} compiled: {cold.told()}")
    if warm.count("compiled") or not warm.count("hit"):
        problems.append(f"warm: {warm.told()}")
    return problems


def same_code(name):
    """What the driver's JIT makes of a kernel alone, on one thread it makes of it among the others: byte for
    byte, but for addresses in shared memory where it leaves other gaps between arrays."""
    problems, equal, moved = [], 0, 0
    for fatbin in ["big.fatbin"] + sorted(f for f in os.listdir(JIT) if re.fullmatch(r"real_\d\.fatbin", f)):
        path, cache, whole = os.path.join(JIT, fatbin), fresh("cache"), fresh("cache")
        named = ["=big_3", "=big_41"] if fatbin[:3] == "big" else ["=" + open(path[:-6] + "kernel").read().strip()]
        plain = Run([os.path.join(JIT, "first"), "library", path, *named])
        alone = Run([os.path.join(JIT, "first"), "library", path, *named], cache)
        Run([os.path.join(JIT, "first"), "module", path, *named], whole, cpus={0})
        if plain.out != alone.out:
            say(f"   {name}: {fatbin}: attributes {plain.out.split()[2::3]} and alone {alone.out.split()[2::3]}")
        pieces, all_of = entries_of(cache), sections(entries_of(whole)[None])
        for kernel, cubin in pieces.items():
            piece = sections(cubin)
            shared = [k for k in piece if k.startswith(".nv.shared.") and piece[k] != all_of.get(k)]
            for section, code in piece.items():
                other = all_of.get(section)
                if code == other:
                    equal += 1
                elif section in shared or (shared and section.startswith(".text.") and len(code) == len(other)
                                           and sum(a != b for a, b in zip(code, other)) < len(code) // 500):
                    moved += 1
                else:
                    problems.append(f"{fatbin} {kernel}: {section} differs")
        if len(pieces) != len(named):
            problems.append(f"{fatbin}: {len(pieces)} pieces")
    say(f"   {name}: {equal} sections equal, {moved} with other gaps in shared memory")
    return problems


@functools.lru_cache(None)
def tier():
    """A tree that `kguard warm` made on a machine without a GPU, for KGUARD_CACHE_RO: nobody writes to it."""
    copy = os.path.join(fresh("tier"), "tier")
    shutil.copytree(os.path.join(JIT, "warm"), copy)
    subprocess.run(["chmod", "-R", "go-w", copy], check=True)
    return copy


def warmed_elsewhere(name):
    """All that a program wants is found there: of large images kernels, and for the rest the whole."""
    copy, problems, driver = tier(), [], fresh("driver")
    first, big = os.path.join(JIT, "first"), os.path.join(JIT, "big.fatbin")
    text = os.path.join(JIT, "big.ptx")
    contexts = [os.path.join(JIT, "contexts")]
    large = [os.path.join(JIT, "large", "device.fatbin"), os.path.join(JIT, "large", "device.ptx")]
    every = [f"big_{n}" for n in range(64)]
    for argv, hits in (([os.path.join(JIT, "values-13.0-shared")], None), ([os.path.join(JIT, "parts"), "100"], None),
                       ([first, "library", big, "big_3"], 1), ([first, "library", big, *every[:9]], 9),
                       ([first, "library", big, *every], None), ([first, "module", big, "big_3"], 1),
                       ([first, "module", text, "big_3"], 1), ([first, "module", big, *every], None),
                       ([os.path.join(JIT, "values-12.4-large")], None),
                       ([os.path.join(JIT, "values-13.0-large")], None),
                       *[([*contexts, what, *large], None) for what in
                         ("race", "contexts", "reload", "globals", "kernels", "modules", "capture")]):
        what = " ".join([os.path.basename(argv[0]), *[os.path.basename(a) for a in argv[1:4]]])
        for mode in ("LAZY", "EAGER"):
            plain = Run(argv, driver=driver, env={"CUDA_MODULE_LOADING": mode})
            run = Run(argv, fresh("cache"), env={"KGUARD_CACHE_RO": copy, "CUDA_MODULE_LOADING": mode})
            problems += same(plain, run, f"{what}, {mode}")
            if run.count("compiled") or not run.count("hit") or (hits and run.count("hit") != hits):
                problems.append(f"{what}, {mode}: {run.count('hit')} hits: {run.told()}")
            else:
                say(f"   {what}, {mode}: {run.count('hit')} hits, 0 compilations")
    return problems


def registered(name):
    """A shared runtime of CUDA 11: at its registration, for KGUARD_TARGET, from the cache alone."""
    copy, argv, problems = tier(), [os.path.join(JIT, "values-11.8-shared")], []
    for mode in ("LAZY", "EAGER"):
        plain = Run(argv, env={"CUDA_MODULE_LOADING": mode})
        run = Run(argv, fresh("cache"), env={"KGUARD_CACHE_RO": copy, "KGUARD_TARGET": "sm_90",
                                             "KGUARD_LOG_FORMAT": "text", "KGUARD_LOG_FILE": "",
                                             "CUDA_MODULE_LOADING": mode})
        problems += same(plain, run, mode)
        if "1 registered images" not in run.err:
            problems.append(f"{mode}: {run.err[-300:]!r}")
    return problems


def build_extension():
    source, site = os.path.join(WORK, "ext"), os.path.join(WORK, "site")
    shutil.copytree(os.path.join(ROOT, "tests", "gpu", "programs", "ext"), source)
    env = dict(os.environ, TORCH_CUDA_ARCH_LIST="8.0+PTX", MAX_JOBS="4",
               CUDA_HOME=os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-v", "--no-index", "--no-deps",
                           "--no-build-isolation", "--target", site, source], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240)
    return site, done


def extension(name, site, done):
    if done.returncode:
        return ["the extension did not build: " + done.stdout[-500:].decode(errors="replace")]
    argv = [sys.executable, os.path.join(ROOT, "tests", "gpu", "programs", "ext", "run.py"), "checked"]
    return three(name, argv, {"PYTHONPATH": site}, stderr=False)[0]


def check(name, body, *arguments):
    if not wanted(name):
        return
    try:
        problems = body(name, *arguments)
    except Exception as e:
        problems = [f"{type(e).__name__}: {e}"]
    tell("FAIL" if problems else "ok", name, " | ".join(problems))


def checks():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = []

        def add(name, body, *arguments):
            jobs.append(pool.submit(check, name, body, *arguments))

        building = pool.submit(build_extension) if wanted("extension") else None
        for mode in ("LAZY", "EAGER"):
            for what in ("kernels", "modules", "none", "late", "busy", "capture"):
                add(f"driver/{what}/{mode}", context, what, mode, "large")
            for what in ("race", "contexts", "reload", "globals", "options"):
                add(f"driver/{what}/{mode}", context, what, mode)
                add(f"driver/{what}/{mode}/large", context, what, mode, "large")
            for version, kind in (("13.0", "shared"), ("13.0", "static"), ("12.4", "shared"),
                                  ("12.4", "static"), ("11.8", "shared")):
                for what in ("all", "assert"):
                    add(f"values/{version}-{kind}/{mode}/{what}", values, version, kind, mode, what)
            for version in ("12.4", "13.0"):
                for what in ("all", "assert"):
                    add(f"values/{version}-large/{mode}/{what}", values, version, "large", mode, what)
            for what, numbers, pieces, whole in (("one", [3], 1, False), ("eight", range(8, 16), 8, False),
                                                 ("all", range(64), 15, True)):
                add(f"kernels/{what}/{mode}", kernels, mode, "library", "big.fatbin", numbers, pieces, whole)
            for file in ("big.fatbin", "big.ptx"):
                for what, numbers, pieces in (("one", [3], 1), ("eight", range(8, 16), 4)):
                    add(f"kernels/{what}-of-module/{file[4:]}/{mode}", kernels, mode, "module", file, numbers, pieces,
                        True)
        add("kernels/same-code", same_code)
        for which in ("none", "maxreg", "o0", "lineinfo"):
            add(f"stored-options/{which}", stored, which)
        add("force", forced)
        add("ptxas/good", by_ptxas)
        add("ptxas/bad", bad_ptxas)
        add("ptxas/too-new", too_new)
        add("damaged", damaged)
        if os.path.isdir(os.path.join(JIT, "warm")):
            add("warmed-elsewhere", warmed_elsewhere)
            add("registered/11.8-shared", registered)
        else:
            tell("SKIP", "warmed-elsewhere", "build-gpu/jit/warm is not there")
        if building:
            add("extension", extension, *building.result())
        for job in jobs:
            job.result()


# ---- times ------------------------------------------------------------------------------------------------


def bar(name, value, limit, what):
    tell("ok" if value <= limit else "FAIL", name, f"{value:.2f} ms, {what} allows {limit:.2f} ms")


def ways(argv_fat, argv_cubin, mode, cold_runs, warm_runs, name, what_ms="total_ms", argv_merged=None):
    """(a) driver cold, (b) its cache warm, (c) kguard cold, (d) kguard warm, (e) the cubin, (m) one cubin for all
    of them, (w) as (d), by kguard warm."""
    env = {"CUDA_MODULE_LOADING": mode}
    times = {k: [] for k in "abcdemw"}
    warmed = tier()
    splits, outputs = {}, set()

    def one(way, run):
        outputs.add(run.out)
        times[way].append(run.number(what_ms))
        splits.setdefault(way, []).append([run.number(k) for k in ("load_ms", "get_ms", "run_ms")]
                                          if "load_ms" in run.err else [])

    driver_cache, cache = fresh("driver"), fresh("cache")
    for i in range(cold_runs): # in turns which is first: the machine gets faster and slower by itself
        cold = [lambda: one("a", Run(argv_fat, driver=None if i else driver_cache, env=env)),
                lambda: one("c", Run(argv_fat, fresh("cache") if i else cache, env=env, quiet=True))]
        for run in cold[::-1] if i % 2 else cold:
            run()
    for _ in range(warm_runs):
        one("b", Run(argv_fat, driver=driver_cache, env=env))
        one("d", Run(argv_fat, cache, env=env, quiet=True))
        one("w", Run(argv_fat, fresh("cache"), env={**env, "KGUARD_CACHE_RO": warmed}, quiet=True))
        if argv_cubin:
            one("e", Run(argv_cubin, env=env))
        if argv_merged:
            one("m", Run(argv_merged, env=env))
    medians = {k: statistics.median(v) for k, v in times.items() if v}
    say(f"-- {name}, {mode}: ms, median (least .. most) of {cold_runs} cold and {warm_runs} warm runs")
    for way, what in (("a", "driver, cold"), ("b", "driver's ComputeCache, warm"), ("c", "kguard, cold"),
                      ("d", "kguard, warm"), ("w", "kguard, filled elsewhere"), ("e", "the cubin itself"),
                      ("m", "one cubin of all")):
        if way in medians:
            parts = [statistics.median(x) for x in zip(*splits[way])]
            split = "   load %.2f  look-up %.2f  run %.2f" % tuple(parts) if parts else ""
            say(f"   ({way}) {what:28} {medians[way]:9.2f}  ({min(times[way]):.2f} .. "
                f"{max(times[way]):.2f}){split}")
    if len(outputs) != 1:
        tell("FAIL", f"bench/{name}/{mode}/values", f"{len(outputs)} different outputs: "
             f"{sorted(outputs)[:2]}")
    return medians


def machine():
    """What the numbers below were measured on."""
    with open("/proc/version") as f:
        say("-- " + f.read().strip()[:150])
    for path in ("/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm/transparent_hugepage/defrag"):
        try:
            with open(path) as f:
                say(f"   {path}: {f.read().strip()}")
        except OSError as e:
            say(f"   {path}: {e}")
    done = subprocess.run([os.path.join(JIT, "split"), os.path.join(JIT, "big.fatbin"),
                           shutil.copytree(os.path.join(JIT, "warm"), os.path.join(fresh("w"), "w"))],
                          capture_output=True, text=True)
    say(done.stdout + done.stderr)


def bars(name, m):
    bar(name + "/warm-driver", m["d"], m["b"] / 4, "a quarter of (b)")
    bar(name + "/warm-cubin", m["d"], m["e"] * 1.5, "1.5 x (e)")
    bar(name + "/filled-driver", m["w"], m["b"] / 4, "a quarter of (b)")
    bar(name + "/filled-cubin", m["w"], m["e"] * 1.5, "1.5 x (e)")
    bar(name + "/cold", m["c"], m["a"] * 1.05, "(a) + 5 %")


def bench():
    machine()
    big = {kind: os.path.join(JIT, f"big.{kind}") for kind in ("fatbin", "ptx", "cubin")}
    first = os.path.join(JIT, "first")
    for mode in ("LAZY", "EAGER"):
        for route, kind in (("library", "fatbin"), ("module", "fatbin"), ("module", "ptx")):
            name = f"bench/{route}/{mode}" if kind == "fatbin" else f"bench/{route}-{kind}/{mode}"
            if not wanted(name):
                continue
            m = ways([first, route, big[kind], "big_3"], [first, route, big["cubin"], "big_3"], mode, 3, 9,
                     f"64 kernels, 1.3 MB of PTX, {route} of a {kind}")
            bars(name, m)
    for fatbin in sorted(f for f in os.listdir(JIT) if re.fullmatch(r"real_\d\.fatbin", f)):
        path = os.path.join(JIT, fatbin)
        if not wanted(f"bench/{fatbin[:-7]}"):
            continue
        for mode in ("LAZY", "EAGER"):
            named = "@" + open(path[:-6] + "kernel").read().strip()
            m = ways([first, "library", path, named], [first, "library", path[:-6] + "cubin", named], mode, 2, 7,
                     fatbin)
            bars(f"bench/{fatbin[:-7]}/{mode}", m)
    parts, code, merged = (os.path.join(JIT, name) for name in ("parts", "parts_code", "parts_merged"))
    # Eager loading happens while the context is made: then that belongs to the time.
    for mode, what in (("LAZY", "total_ms"), ("EAGER", "whole_ms")) if wanted("bench/parts") else ():
        # Cold under LAZY takes 25 ms in one process and 35 in the next.
        one = ways([parts, "1"], [code, "1"], mode, 36 if mode == "LAZY" else 6, 5, "100 images, one used", what)
        bar(f"bench/parts-one/{mode}/cold", one["c"], one["a"] * 1.05, "the driver + 5 %")
        every = ways([parts, "100"], [code, "100"], mode, 10, 11, "100 images, all used", what, [merged, "100"])
        bar(f"bench/parts-all/{mode}/cold", every["c"], every["a"] * 1.05, "the driver + 5 %")
        bar(f"bench/parts-all/{mode}/warm", every["d"], every["b"] / 3, "a third of the driver's warm")


try:
    checks() if WHAT == "check" else bench()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
say(f"{tally['ok']} passed, {tally['FAIL']} failed, {tally['SKIP']} skipped in "
    f"{time.monotonic() - START:.0f} s")
sys.exit(1 if tally["FAIL"] else 0)
