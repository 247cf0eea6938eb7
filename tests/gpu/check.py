#!/usr/bin/env python3
"""The checks of check.sh: one line per check, `ok NAME`, `FAIL NAME: why` or `SKIP NAME: reason`.

Every program runs twice, without and with libkguard.so. Its standard output and exit code must be
the same; what kguard said is read from its JSON lines. In $OUT: check-gpu.txt (the lines below),
check-gpu.tsv (what was said in each cell), check-gpu-logs.tar.gz (every log and every output).
"""
import concurrent.futures
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import lacking

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
GPU = os.path.join(ROOT, "build-gpu")
SHIM = os.path.join(ROOT, os.environ.get("KGUARD_SO", "build/libkguard.so"))
PROGRAMS = os.path.join(ROOT, "tests", "gpu", "programs")
OUT = os.environ["OUT"]
WORK = tempfile.mkdtemp(prefix="kguard-check.")
LOGS = os.path.join(WORK, "logs")
START = time.monotonic()
DEADLINE = START + float(os.environ.get("CHECK_SECONDS", 400))
PYTHON = sys.executable
PATTERNS = sys.argv[1:]

VOXELIZE, SCALE = "_Z15voxelize_kernelPfi", "_Z12scale_kernelPfi"
BAD = {"sm_80", "sm_120"}

# ---- results -------------------------------------------------------------------------------------

lock = threading.Lock()
lines, rows = [], []


def tell(kind, name, why=""):
    line = f"{kind} {name}" + (f": {why}" if why else "")
    with lock:
        lines.append((kind, line))
        print(line, flush=True)


def wanted(name):
    return not PATTERNS or any(p in name for p in PATTERNS)


def check(name, body, *arguments):
    """Runs body, which returns the list of what is wrong."""
    if not wanted(name):
        return
    try:
        problems = body(name, *arguments)
    except Exception as e:  # a check that breaks has failed
        problems = [f"{type(e).__name__}: {e}"]
    tell("FAIL" if problems else "ok", name, "; ".join(problems))


# ---- running -------------------------------------------------------------------------------------


class Run:
    """One run of a program: exit code, output, and the events kguard logged."""

    def __init__(self, name, argv, env, shim, text=False, cwd=None):
        stem = os.path.join(LOGS, re.sub(r"[^A-Za-z0-9.-]+", "_", name))
        self.log = stem + ".jsonl"
        full = {k: v for k, v in os.environ.items() if not k.startswith(("KGUARD", "LD_PRELOAD"))}
        full["CUDA_CACHE_PATH"] = os.path.join(WORK, "compute-cache")
        if shim:
            full["LD_PRELOAD"] = SHIM
            full["KGUARD_ERROR_TEXT"] = "0"
            if not text:
                full.update(KGUARD_LOG_FORMAT="json", KGUARD_LOG_FILE=self.log)
        full.update(env)
        with open(stem + ".out", "w+b") as out, open(stem + ".err", "w+b") as err:
            process = subprocess.Popen(argv, env=full, cwd=cwd, stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=err, start_new_session=True)
            try:
                self.rc = process.wait(max(1, min(240, DEADLINE - time.monotonic())))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self.rc = "timeout"
            out.seek(0)
            err.seek(0)
            self.out, self.err = out.read(), err.read().decode(errors="replace")
        self.events, self.broken = [], []
        if os.path.exists(self.log):
            with open(self.log, errors="replace") as f:
                for line in f:
                    try:
                        self.events.append(json.loads(line))
                    except ValueError:
                        self.broken.append(line[:200])
        self.failures = [e for e in self.events if e.get("event") == "failure"]


def pair(name, argv, env=None, stderr=True, cwd=None):
    """Without and with the shim: (plain run, shim run, problems)."""
    env = env or {}
    plain = Run(name + "-plain", argv, env, False, cwd=cwd)
    shim = Run(name + "-kguard", argv, env, True, cwd=cwd)
    problems = []
    if plain.rc == 77 or plain.rc == "timeout":
        problems.append(f"does not run here even without kguard: rc {plain.rc}, "
                        f"{(plain.out.decode(errors='replace') + plain.err)[-200:]!r}")
    if shim.rc != plain.rc:
        problems.append(f"exit code {plain.rc} became {shim.rc}: {shim.err[-300:]!r}")
    if shim.out != plain.out:
        problems.append(f"output {plain.out[-150:]!r} became {shim.out[-150:]!r}")
    if stderr and shim.err != plain.err:
        problems.append(f"stderr became {shim.err[-200:]!r}")
    if shim.broken:
        problems.append(f"not JSON: {shim.broken[0]!r}")
    problems += [f"no {key} in an event" for key in ("schema", "event", "pid", "time")
                 if any(key not in e for e in shim.events)]
    return plain, shim, problems


# ---- what is expected of a report ----------------------------------------------------------------


def mismatches(event, library=None, code="KG101", sass=BAD, kernel=None, kernels=None, api=None,
               **exact):
    """What this event says otherwise than expected. library: the end of its path, or of the library
    that built the image; kernels: names of which the list must tell where no kernel is named."""
    found = []
    codes = code if isinstance(code, set) else {code}
    if event.get("code") not in codes:
        found.append(f"code {event.get('code')}")
    where = event.get("library") or event.get("built_by") or ""
    if library and not re.search(library, where):
        found.append(f"library {where!r}")
    if sass is not None and set(event.get("sass", [])) != sass:
        found.append(f"sass {event.get('sass')}")
    named = event.get("kernel_mangled")
    listed = event.get("kernels", "")
    if kernel and named != kernel and not (kernels and not named and
                                           all(k in listed for k in kernels)):
        found.append(f"kernel {named or listed or None!r}")
    if api and not re.search(api, event.get("api", "")):
        found.append(f"api {event.get('api')}")
    for key, value in exact.items():
        if event.get(key) != value:
            found.append(f"{key} {event.get(key)!r}")
    return found


def expect(run, **facts):
    """Problems, unless one failure event says all of it; no event may say a thing twice, or accuse
    the kernel that works."""
    problems = []
    tries = sorted((mismatches(e, **facts) for e in run.failures), key=len)
    if not tries:
        problems.append("no failure reported")
    elif tries[0]:
        problems.append("reported otherwise: " + ", ".join(tries[0]))
    said = [(e.get("code"), e.get("library"), e.get("kernel"), e.get("api")) for e in run.failures]
    if len(said) != len(set(said)):
        problems.append("the same failure reported twice")
    # (The broken and the too new PTX are of that kernel, and are rightly called its own.)
    if any(SCALE == e.get("kernel_mangled") and e.get("code") not in ("KG103", "KG107")
           for e in run.failures):
        problems.append("accuses scale_kernel, which works")
    return problems


def quiet(run):
    return [f"reported a failure: {e.get('code')} {e.get('api')} {e.get('kernel')} "
            f"{e.get('library') or e.get('built_by')}" for e in run.failures[:3]]


def row(name, run):
    """A line of the table: what the first failure event said."""
    e = run.failures[0] if run.failures else {}
    with lock:
        rows.append("\t".join(str(x) for x in (
            name, run.rc, e.get("code", "-"), e.get("kernel") or "-", e.get("kernel_from", "-"),
            e.get("kernels") or "-",
            os.path.basename(e.get("library") or e.get("built_by") or "-"),
            ",".join(e.get("sass", [])) or "-", e.get("api", "-"), e.get("result", "-"))))


def binary(name):
    return os.path.join(GPU, "bin", name)


# ---- hand-registered and nvcc-built programs -----------------------------------------------------


def naming(cudart, link):
    """How much of the kernel each runtime lets kguard know: by name, by name or list, neither."""
    if link == "shared" or cudart == "13.0":
        return {"kernel": VOXELIZE}
    if cudart == "12.4":
        return {"kernel": VOXELIZE, "kernels": ["voxelize_kernel", "unused_kernel"]}
    return {}


def cell(name, program, cudart, link, loading, mode):
    plain, run, problems = pair(name, [binary(program), mode], {"CUDA_MODULE_LOADING": loading})
    row(name, run)
    if mode == "healthy":
        # An eager runtime does load the image nobody uses; that may be said, as just that.
        run.failures = [e for e in run.failures
                        if not (loading == "EAGER" and e.get("not_used_yet"))]
        return problems + quiet(run)
    if plain.rc != (0 if mode == "unchecked" else 1):
        problems.append(f"the failure does not happen here: rc {plain.rc}")
    problems += expect(run, library=program + "$", **naming(cudart, link))
    unchecked = [e for e in run.events if e.get("code") == "KG204"]
    if link == "shared" and mode == "unchecked" and not unchecked:
        problems.append("no KG204: the failure was never checked")
    if mode == "checked" and unchecked:
        problems.append("KG204 although the result was checked")
    return problems


def matrix(submit):
    for cudart in ("11.8", "12.4", "13.0"):
        for link in ("static", "shared", "stripped"):
            for loading in ("LAZY", "EAGER"):
                for mode in ("checked", "unchecked", "healthy"):
                    if link == "stripped" and (loading == "EAGER" or mode != "checked"):
                        continue
                    submit(f"matrix/{cudart}-{link}/{loading}/{mode}", cell,
                           f"hand-{cudart}-{link}", cudart, link, loading, mode)
    for link in ("static", "shared"):
        for loading in ("LAZY", "EAGER"):
            for mode in ("checked", "unchecked", "healthy"):
                submit(f"matrix/nvcc-13.0-{link}/{loading}/{mode}", cell, f"nvcc-{link}", "13.0",
                       link, loading, mode)


DOORS = {  # mode of hand: the calls that may be named
    "ptsz": "cudaLaunchKernel_ptsz",
    "exc": "cudaLaunchKernelExC",
    "cooperative": "cudaLaunchCooperativeKernel",
    "attributes": "cudaFuncGetAttributes",
    "set-attribute": "cudaFuncSetAttribute",
    "cache-config": "cudaFuncSetCacheConfig",
    "occupancy": "cudaOccupancyMaxActiveBlocksPerMultiprocessor",
    "symbol": "cudaGetFuncBySymbol",
    "copy": "cudaMemcpyToSymbol",
    "graph": "cudaGraph",
}


def door(name, program, mode):
    plain, run, problems = pair(name, [binary(program), mode])
    row(name, run)
    if plain.rc == 0:  # this runtime does not look at the image in this call
        return problems + quiet(run)
    return problems + expect(run, library=program + "$", api=DOORS[mode],
                             kernel=None if mode == "copy" else VOXELIZE)


def nccl(name, program):
    _, run, problems = pair(name, [binary(program), "nccl"])
    row(name, run)
    return problems + expect(run, library=program + "$", kernel=VOXELIZE,
                             api="cudaFuncGetAttributes", query=True)


def switched_off(name, env):
    _, run, problems = pair(name, [binary("hand-13.0-shared"), "checked"], env)
    return problems + ["something was logged"] * bool(run.events)


def log_off(name):
    """With KGUARD_LOG=off nothing is written anywhere."""
    plain = Run(name + "-plain", [binary("hand-12.4-shared"), "checked"], {}, False)
    run = Run(name + "-kguard", [binary("hand-12.4-shared"), "checked"], {"KGUARD_LOG": "off"},
              True, text=True)
    problems = [] if plain.rc == 1 else [f"does not run here: {plain.out!r}"]
    if (run.rc, run.out, run.err) != (plain.rc, plain.out, plain.err):
        problems.append(f"rc {run.rc}, {run.out!r}, {run.err[:200]!r}")
    return problems


def text_report(name):
    """The text for people: on stderr, at most 12 lines a report, every line marked."""
    run = Run(name, [binary("hand-12.4-shared"), "checked"], {}, True, text=True)
    report = re.findall(r"^kguard\[\d+\]: error\[KG101\].*(?:\n.*)*", run.err, re.M)
    problems = [] if report else [f"no report: {run.err[:300]!r}"]
    problems += [f"unmarked line {x!r}" for x in run.err.splitlines()
                 if not re.match(r"kguard\[\d+\]: ", x)][:1]
    for fact in ("voxelize_kernel(float*, int)", "hand-12.4-shared", "sm_80", "sm_120", "209"):
        if fact not in run.err:
            problems.append(f"does not say {fact}")
    if run.err.count("\n") > 14:
        problems.append(f"{run.err.count(chr(10))} lines")
    return problems


def two_runtimes(name, *mode):
    argv = [binary("two_main"), binary("libpart12.so"), binary("libpart13.so"), *mode]
    plain, run, problems = pair(name, argv)
    row(name, run)
    if plain.out.count(b"good 0, sum 56") != 4:
        problems.append(f"the healthy halves do not work here: {plain.out!r}")
    if mode:
        return problems + quiet(run)
    for n in (12, 13):
        problems += expect(run, library=rf"libpart{n}\.so$", kernel=f"part{n}_bad")
    crossed = [e for e in run.failures if e.get("library") and e.get("kernel") and
               re.search(r"part(\d+)\.so", e["library"]).group(1) not in e["kernel"]]
    return problems + ["a kernel of one runtime blamed on the other"] * bool(crossed)


# ---- the driver API ------------------------------------------------------------------------------

OWN = r"driver-\w+$"
DRIVER = {  # case: what must be said; {} = nothing may be reported
    "module-fatbin": dict(library=OWN, api="cuModuleLoadData"),
    "module-wrapper": dict(library=OWN, api="cuModuleLoadData"),
    "module-ex": dict(library=OWN, api="cuModuleLoadDataEx"),
    "module-fatbinary": dict(library=OWN, api="cuModuleLoadFatBinary"),
    "module-cubin": dict(library=OWN, api="cuModuleLoadData", sass={"sm_80"},
                         code={"KG101", "KG104"}),
    "module-file": dict(library=r"/bad\.fatbin$", api="cuModuleLoad"),
    "library-data": dict(library=OWN, api="cuLibraryGetKernel", kernel=VOXELIZE),
    "library-module": dict(library=OWN, api="cuLibraryGetModule"),
    "library-file": dict(library=r"/bad\.fatbin$", api="cuLibraryGetKernel|cuLibraryLoadFromFile"),
    "ptx-new": dict(library=OWN, code="KG103", sass=set(), ptx=["compute_75"]),
    "ptx-bad": dict(library=OWN, code="KG107", sass=set()),
    "link-new": dict(library=OWN, code="KG103", sass=None, api="cuLink"),
    "missing": dict(library=OWN, code="KG106", sass=None, kernel="no_such_kernel",
                    api="cuModuleGetFunction"),
    "missing-library": dict(library=OWN, code="KG106", sass=None, kernel="no_such_kernel",
                            api="cuLibraryGetKernel"),
    "truncated": dict(library=OWN, code="KG104", sass=None, api="cuModuleLoadData"),
    "healthy": {},
    "recover": dict(library=OWN, api="cuModuleLoadData"),
}


def driver(name, via, case):
    plain, run, problems = pair(name, [binary("driver-" + via), case])
    row(name, run)
    facts = dict(DRIVER[case])
    if (plain.rc == 0) != (case in ("healthy", "recover")):
        problems.append(f"not as expected even without kguard: {plain.out!r}")
    if not facts:
        return problems + quiet(run)
    if case != "recover":
        facts["result"] = int(plain.out.split()[-1])
    if len(run.failures) > 1:
        problems.append(f"{len(run.failures)} failures reported for one")
    return problems + expect(run, **facts)


# ---- frameworks ----------------------------------------------------------------------------------


def python_env(name):
    """Caches of its own for each run, so that both runs compile."""
    return {key: os.path.join(WORK, "cache", re.sub(r"\W+", "_", name), key)
            for key in ("TRITON_CACHE_DIR", "CUPY_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")}


def healthy_python(name, script, *arguments):
    plain, run, problems = pair(name, [PYTHON, os.path.join(PROGRAMS, script), *arguments],
                                python_env(name), stderr=False)
    row(name, run)
    if plain.rc != 0:
        problems.append(f"fails here without kguard: {plain.err[-400:]!r}")
    return problems + quiet(run)


def cupy_bad(name):
    plain, run, problems = pair(name, [PYTHON, os.path.join(PROGRAMS, "cupy_bad.py"),
                                       os.path.join(GPU, "fat", "bad80.cubin")],
                                python_env(name), stderr=False)
    row(name, run)
    if plain.rc != 1:
        problems.append(f"does not fail here: {plain.out!r} {plain.err[-300:]!r}")
    problems += expect(run, code={"KG101", "KG104"}, sass={"sm_80"}, library=r"cupy|driver")
    if not any("cupy_bad.py" in " ".join(e.get("python", [])) for e in run.failures):
        problems.append("no Python line of cupy_bad.py")
    return problems


def build_extension():
    """The CUDAExtension, built for sm_80 alone and installed as pip does."""
    source, site = os.path.join(WORK, "ext"), os.path.join(WORK, "site")
    shutil.copytree(os.path.join(PROGRAMS, "ext"), source)
    cuda = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    env = dict(os.environ, TORCH_CUDA_ARCH_LIST="8.0", MAX_JOBS="4", CUDA_HOME=cuda)
    with open(os.path.join(LOGS, "build-extension.out"), "w") as log:
        done = subprocess.run([PYTHON, "-m", "pip", "install", "-v", "--no-index", "--no-deps",
                               "--no-build-isolation", "--target", site, source],
                              env=env, stdout=log, stderr=subprocess.STDOUT, timeout=240)
    return site if done.returncode == 0 else None


def extension_argv(site, mode):
    return [PYTHON, os.path.join(PROGRAMS, "ext", "run.py"), mode], {"PYTHONPATH": site}


def extension(name, site, mode):
    if not site:
        return ["the extension did not build: see build-extension.out"]
    argv, env = extension_argv(site, mode)
    plain, run, problems = pair(name, argv, env, stderr=False)
    row(name, run)
    if (plain.rc == 0) != (mode == "unchecked"):
        problems.append(f"not as expected without kguard: rc {plain.rc} {plain.err[-300:]!r}")
    large = mode == "large_shared"
    problems += expect(run, library=r"udf_ext[^/]*\.so$", sass={"sm_80"},
                       kernel="_Z16attention_kernelPfi" if large else VOXELIZE,
                       api="cudaFuncSetAttribute" if large else "LaunchKernel|GetKernel")
    first = run.failures[0] if run.failures else {}
    python = " > ".join(first.get("python", []))
    if not re.search(r"run\.py:\d+ in main > .*mesh\.py:\d+ in mesh2index", python):
        problems.append(f"python {python!r}")
    if "udf_ext" not in " ".join(first.get("host", [])):
        problems.append(f"host {first.get('host')}")
    if not re.fullmatch("udf[-_]ext 0.0.1", first.get("package", "udf_ext 0.0.1")):
        problems.append(f"package {first.get('package')!r}")
    if not re.search(r"9\.0|90", first.get("help", "")):
        problems.append(f"help {first.get('help')!r}")
    if len(run.failures) > 1:
        problems.append(f"{len(run.failures)} failures reported for one")
    return problems


def extension_text(name, site):
    """One whole report, as a person sees it."""
    if not site:
        return ["the extension did not build"]
    argv, env = extension_argv(site, "checked")
    run = Run(name, argv, dict(env, KGUARD_ERROR_TEXT="1"), True, text=True)
    report = "\n".join(x for x in run.err.splitlines() if x.startswith("kguard["))
    with lock:
        print("---- a report, as a person sees it\n" + report + "\n----", flush=True)
        lines.append(("", "---- a report, as a person sees it\n" + report + "\n----"))
    problems = [f"does not say {fact}" for fact in
                ("error[KG101]", "voxelize_kernel(float*, int)", "udf_ext", "sm_80", "run.py:")
                if fact not in report]
    if not re.search(r"Error: CUDA error: .*\(kguard: voxelize_kernel\(float\*, int\) of udf_ext", run.err):
        problems.append(f"PyTorch's exception does not name the kernel: {run.err[-400:]!r}")
    return problems + ["more than 14 lines"] * (report.count("\n") > 13)


def torchrun(name, site):
    if not site:
        return ["the extension did not build"]
    argv, env = extension_argv(site, "checked")
    argv = [PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", *argv[1:]]
    _, run, problems = pair(name, argv, env, stderr=False)
    row(name, run)
    return problems + expect(run, library=r"udf_ext[^/]*\.so$", sass={"sm_80"}, kernel=VOXELIZE)


# ---- KGUARD_TARGET against cuobjdump -------------------------------------------------------------

TARGETS = (120, 70, 110)
lists = {}


class Oracle:
    """What cuobjdump says of every library, computed once for all targets, in the background."""

    def __init__(self, pool):
        self.pool, self.futures, self.seen = pool, {}, set()

    def add(self, paths):
        with lock:
            new = [p for p in map(os.path.realpath, paths) if p not in self.seen]
            self.seen.update(new)
            for path in new:
                if lacking.has_device_code(path):
                    self.futures[path] = self.pool.submit(lacking.survey, path, TARGETS)

    def answers(self, paths):
        self.add(paths)
        paths = set(map(os.path.realpath, paths))
        return {p: f.result(max(1, DEADLINE - time.monotonic()))
                for p, f in self.futures.items() if p in paths}


def reported_lacking(events, target):
    """Libraries whose audit says that none of their images has SASS for this target. (KG108: there
    is SASS, but it needs a device link.)"""
    cc = f"{target // 10}.{target % 10}"
    return {os.path.realpath(e["library"]) for e in events
            if e.get("audit") and e.get("cc") == cc and e.get("code") in ("KG101", "KG102", "KG201")}


def what_if(name, oracle, target):
    maps = os.path.join(WORK, f"maps-{target}")
    run = Run(name, [PYTHON, os.path.join(PROGRAMS, "torch_ops.py"), maps],
              {"KGUARD_TARGET": f"sm_{target}", "KGUARD_LOG": "info"}, True)
    if run.rc != 0:
        return [f"rc {run.rc}: {run.err[-300:]!r}"]
    with open(maps) as f:
        answers = oracle.answers(f.read().split("\n"))
    expected = {p for p, a in answers.items() if a[target] == "lacks"}
    said = reported_lacking(run.events, target)
    # What cuobjdump cannot see is neither demanded nor believed: the headers must say the same.
    unseen = {p for p in said - expected if answers.get(p, {}).get(target) == "none"}
    false = {p for p in unseen if any(lacking.fits(sm, target) for sm in lacking.hidden(p))}
    lists[target] = sorted(map(os.path.basename, expected))
    with open(os.path.join(LOGS, f"whatif-{target}.txt"), "w") as f:
        for path in sorted(answers):
            f.write(f"{path}\tcuobjdump {answers[path][target]}\t"
                    f"kguard {'lacks' if path in said else 'fine'}\n")
    problems = [f"rightly lacking but not reported: {os.path.basename(p)}"
                for p in sorted(expected - said)]
    problems += [f"reported, but cuobjdump finds SASS: {os.path.basename(p)}"
                 for p in sorted(said - expected - unseen | false)]
    if not run.events:
        problems.append("nothing was logged")
    if run.failures:
        problems.append("a failure reported on a GPU that runs it all")
    return problems


# ---- the whole -----------------------------------------------------------------------------------


def early_oracle(oracle):
    """Asks cuobjdump about PyTorch's libraries while other checks run."""
    maps = os.path.join(WORK, "maps-early")
    Run("oracle", [PYTHON, os.path.join(PROGRAMS, "torch_ops.py"), maps], {}, False)
    if os.path.exists(maps):
        with open(maps) as f:
            oracle.add(f.read().split("\n"))


def usable_gpu():
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int()
        return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and \
            count.value > 0
    except OSError:
        return False


def finish():
    os.makedirs(OUT, exist_ok=True)
    counts = [sum(kind == k for kind, _ in lines) for k in ("ok", "FAIL", "SKIP")]
    total = f"{counts[0]} passed, {counts[1]} failed, {counts[2]} skipped"
    print(f"took {time.monotonic() - START:.0f} s; cuobjdump's lists: {lists}\n{total}")
    order = {"FAIL": 0, "SKIP": 1, "": 2, "ok": 3}
    with open(os.path.join(OUT, "check-gpu.txt"), "w") as f:
        f.write("\n".join(line for _, line in sorted(lines, key=lambda x: order[x[0]])))
        f.write(f"\ncuobjdump's lists: {lists}\n{total}\n")
    with open(os.path.join(OUT, "check-gpu.tsv"), "w") as f:
        f.write("cell\texit\tcode\tkernel\tfrom\tkernels\tlibrary\tsass\tapi\tresult\n")
        f.write("\n".join(sorted(rows)) + "\n")
    with tarfile.open(os.path.join(OUT, "check-gpu-logs.tar.gz"), "w:gz") as tar:
        tar.add(LOGS, "logs")
    shutil.rmtree(WORK, ignore_errors=True)
    return 1 if counts[1] or not counts[0] else 0


def cells(pool):
    futures = []

    def submit(name, body, *arguments):
        futures.append(pool.submit(check, name, body, *arguments))

    submit("text/one-report", text_report)
    submit("off/KGUARD=0", switched_off, {"KGUARD": "0"})
    submit("off/KGUARD_LOG=off", log_off)
    matrix(submit)
    for cudart in ("11.8", "12.4", "13.0"):
        for mode in DOORS:
            submit(f"doors/{cudart}/{mode}", door, f"hand-{cudart}-shared", mode)
        submit(f"nccl/{cudart}", nccl, f"hand-{cudart}-shared")
    submit("two-runtimes/failing", two_runtimes)
    submit("two-runtimes/healthy", two_runtimes, "healthy")
    for via in ("link", "dlsym", "gpa", "entry"):
        for case in DRIVER:
            submit(f"driver/{via}/{case}", driver, via, case)
    return futures


def frameworks(pool, oracle):
    futures = []

    def submit(name, body, *arguments):
        futures.append(pool.submit(check, name, body, *arguments))

    def extensions():
        if not any(wanted(n) for n in ("extension/", "torchrun/")) and PATTERNS:
            return
        site = build_extension()
        check("extension/text", extension_text, site)
        for mode in ("checked", "unchecked", "large_shared", "or_exit", "later"):
            submit(f"extension/{mode}", extension, site, mode)
        check("torchrun/extension", torchrun, site)

    def targets():
        if PATTERNS and not wanted("whatif/"):
            return
        early_oracle(oracle)
        for target in TARGETS:
            submit(f"whatif/sm_{target}", what_if, oracle, target)

    first = [pool.submit(extensions), pool.submit(targets)]
    submit("healthy/pytorch", healthy_python, "torch_ops.py")
    submit("healthy/triton", healthy_python, "triton_kernel.py")
    submit("healthy/cupy", healthy_python, "cupy_kernels.py")
    submit("healthy/jax", healthy_python, "jax_jit.py")
    submit("cupy/bad-cubin", cupy_bad)
    for future in first:
        future.result()
    return futures


def main():
    os.makedirs(LOGS)
    if not usable_gpu() and not os.environ.get("CHECK_WITHOUT_GPU"):
        tell("SKIP", "gpu", "no usable GPU on this machine")
        return finish()
    if not os.path.exists(SHIM) or not os.path.exists(binary("two_main")):
        tell("FAIL", "build", f"{SHIM} or build-gpu/ is missing (tests/gpu/prepare.sh)")
        return finish()
    threads = concurrent.futures.ThreadPoolExecutor
    with threads(10) as quick, threads(6) as slow, threads(6) as tools:
        running = cells(quick)
        for future in running + frameworks(slow, Oracle(tools)):
            future.result()
    if lists and sum(map(bool, lists.values())) < 2:
        tell("FAIL", "whatif/lists", "fewer than two lists hold anything")
    return finish()


if __name__ == "__main__":
    sys.exit(main())
