#!/usr/bin/env python3
"""The checks of system.sh: one line each, `ok NAME: what`, `FAIL NAME: why` or `SKIP NAME: reason`."""
import collections
import concurrent.futures
import csv
import glob
import io
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
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
BUILT = os.path.join(ROOT, "build-gpu", "system")
SHIM = os.path.join(ROOT, os.environ.get("KGUARD_SO", "build/libkguard.so"))
KGUARD = os.path.join(ROOT, "build", "kguard")
OUT = os.environ["OUT"]
WORK = tempfile.mkdtemp(prefix="kguard-system.")
START = time.monotonic()
SECONDS = float(os.environ.get("SYSTEM_SECONDS", 140))
PATTERNS = sys.argv[1:]

lock = threading.Lock()
lines = []


def tell(kind, name, why=""):
    line = f"{kind} {name}" + (f": {why}" if why else "")
    with lock:
        lines.append((kind, line))
        print(line, flush=True)


def left(most):
    return max(5.0, min(most, SECONDS - 10 - (time.monotonic() - START)))


class Run:
    """A command, without the library ("") or with it: its output, its exit code, what was reported."""

    def __init__(self, name, argv, preload, seconds, env=None, cwd=None):
        self.home = tempfile.mkdtemp(prefix=re.sub(r"\W", "-", name) + ".", dir=WORK)
        log = os.path.join(self.home, "kguard.log")
        whole = {k: v for k, v in os.environ.items() if not k.startswith("KGUARD_")}
        whole.update(LD_PRELOAD=preload, KGUARD_LOG_FILE=log, KGUARD_LOG_FORMAT="json", TMPDIR=self.home,
                     KGUARD_ERROR_TEXT="0", CUPY_CACHE_DIR=os.path.join(self.home, "cupy"),
                     NUMBA_CACHE_DIR=os.path.join(self.home, "numba"), PYTHONDONTWRITEBYTECODE="1")
        whole.update({k: v.replace("@", self.home) for k, v in (env or {}).items()})
        began = time.monotonic()
        process = subprocess.Popen([word.replace("@", self.home) for word in argv], env=whole,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   errors="replace", cwd=cwd or self.home, start_new_session=True)
        try:
            self.out, self.err = process.communicate(timeout=seconds)
            self.status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            self.out, self.err = process.communicate()
            self.status = "out of time"
        self.seconds = time.monotonic() - began
        self.failures, self.said = [], open(log, errors="replace").read() if os.path.exists(log) else ""
        if os.path.exists(log):
            for line in open(log, errors="replace"):
                event = json.loads(line)
                # A query may be meant to fail: NCCL asks every kernel it has, and some are for others.
                if event["event"] == "failure" and not event.get("query"):
                    self.failures.append(f"{event.get('code')} {event.get('kernel')} {event.get('api')}")


def both(name, argv, seconds, cwd=None, at_once=2, env=None):
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda preload: Run(name, argv, preload, left(seconds), env, cwd), ("", SHIM)))


def guarded(name, body, *arguments):
    if PATTERNS and not any(pattern in name for pattern in PATTERNS):
        return
    try:
        body(name, *arguments)
    except Exception as error:  # a check that breaks is a failure, and the others go on
        at = traceback.extract_tb(error.__traceback__)[-1]
        tell("FAIL", name, f"{type(error).__name__}: {error} ({at.name}, line {at.lineno})")


# ---- programs ------------------------------------------------------------------------------------


def program(name, argv, seconds=60, expected=0):
    """The same output and exit code; nothing accused, since nothing lacks code."""
    plain, with_ = both(name, argv, seconds)
    if plain.status != with_.status or plain.out != with_.out:
        tell("FAIL", name, f"exit {plain.status} and {with_.status}; {plain.out[-300:]!r} and "
             f"{with_.out[-300:]!r}; {with_.err[-300:]!r}")
    elif with_.failures:
        tell("FAIL", name, f"accused: {with_.failures[:3]}")
    elif plain.status == 77:
        tell("SKIP", name, plain.out.strip())
    elif plain.status != expected:
        tell("SKIP", name, f"does not run here, with or without: exit {plain.status}, "
             f"{(plain.out + plain.err)[-200:]!r}")
    else:
        tell("ok", name, f"{len(plain.out.splitlines())} lines of results, exit {plain.status}; "
             f"{plain.seconds:.1f} and {with_.seconds:.1f} s")


def built(name):
    return os.path.join(BUILT, name)


# ---- other tools in the process ---------------------------------------------------------------------


def lacking(name, argv):
    """Under each tool too, the launch without code is reported once, by the same name."""
    run = Run(name, argv, SHIM, left(60))
    found = [f for f in run.failures if f.startswith("KG101 only_elsewhere")]
    return [] if len(found) == 1 else [f"of the launch without code: {run.failures}, exit {run.status}, "
                                       f"{run.err[-200:]!r}; {run.said[-1500:]}"]


def tool(name, argv, found_in, summary, at_once=2):
    """found_in(run) -> what the tool found, which must be the same; and lacking() under it."""
    if not shutil.which(argv[0]):
        tell("SKIP", name, f"no {argv[0]} here")
        return
    plain, with_ = both(name, argv + [built("graphs")], 70, at_once=at_once)
    found, found_with = found_in(plain), found_in(with_)
    if not found or plain.status not in (0,):
        tell("SKIP", name, f"{argv[0]} does not work here: exit {plain.status}, "
             f"{(plain.out + plain.err)[-200:]!r}")
        return
    wrong = [] if (found, plain.status) == (found_with, with_.status) else [
        f"exit {plain.status} and {with_.status}, {str(found)[-200:]} and {str(found_with)[-200:]}; "
        f"{with_.err[-200:]!r}"]
    wrong += [f"accused: {with_.failures[:3]}"] if with_.failures else []
    wrong += lacking(name, argv + [built("lacking")])
    tell("FAIL" if wrong else "ok", name, "; ".join(wrong) or summary(found) +
         "; the launch without code is reported under it")


def results_of(run):
    """The program's own lines, as it prints them alone."""
    # A debugger writes into the same lines.
    return re.findall(r"(?:captured|built|changed|child|updated) [0-9a-f]{16}|host function \d+ times|\d+ nodes",
                      run.out)


def sanitizer(run):
    return (results_of(run), re.findall(r"(?:ERROR|RACECHECK) SUMMARY: .*", run.out + run.err)) if results_of(run) else None


def ncu(run):
    rows = [row for row in csv.reader(io.StringIO(run.out)) if len(row) > 8 and row[0].isdigit()]
    return (results_of(run), sorted((row[4], row[-2], row[-1]) for row in rows)) if rows else None


def gdb(run):
    done = re.findall(r"exited normally|exited with code \d+", run.out)
    stopped = re.findall(r"Breakpoint 1, .*?\bmain\b", run.out)
    return (results_of(run), done, len(stopped)) if done and stopped else None


# ---- other projects' test suites -----------------------------------------------------------------------


def compare(name, outcomes, limit_told, again):
    """Two {test: outcome}; what differs is run once more, both ways: some tests are not steady."""
    plain, with_ = outcomes
    common = plain.keys() & with_.keys()
    differing = sorted(test for test in common if plain[test] != with_[test])
    steady = differing
    if differing and len(differing) <= 40:
        repeated = again(differing)
        steady = [test for test in differing
                  if test not in repeated[0] or repeated[0][test] != repeated[1].get(test)]
    count = {}
    for test in common:
        count[with_[test]] = count.get(with_[test], 0) + 1
    said = ", ".join(f"{count[k]} {k}" for k in sorted(count))
    said += f" with it and without ({len(plain)} and {len(with_)} tests run{limit_told})"
    if differing:
        said += f"; {len(differing)} differed, {len(steady)} of them also when run again"
    if len(common) < 20 or count.get("passed", 0) < len(common) // 2:
        tell("FAIL", name, f"hardly anything ran: {said}")
    elif len(steady) > 0:
        tell("FAIL", name, said + ": " + "; ".join(f"{t}: {plain[t]}, {with_[t]}" for t in steady[:5]))
    else:
        tell("ok", name, said)


def cupy_outcomes(run):
    found = re.findall(r"^(?:\[gw\d+\] \[ *\d+%\] )?(PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS) (cupy_tests/.*)$",
                       run.out, re.M)
    return {test: outcome.lower() for outcome, test in found}


def cupy(name, parts, seconds, workers=3, env=None):
    source = os.path.join(BUILT, "cupy")
    copies = os.path.join(WORK, "cupy-tests")
    shutil.copytree(source, copies, dirs_exist_ok=True)

    def argv(tests):
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", copies, "-v", "-n",
                str(workers), "-m", "not slow and not multi_gpu", "--timeout", "60", "--basetemp", "@/pytest", *tests]

    def run(tests, seconds):
        return both(name, argv(tests), seconds, cwd=copies, env=env)

    runs = run(parts, seconds)
    if not all(map(cupy_outcomes, runs)):
        tell("FAIL", name, f"no outcome: exit {runs[0].status} and {runs[1].status}, {runs[0].out[-300:]!r} "
             f"{runs[0].err[-300:]!r}")
        return
    limit = ", stopped by the clock" if "out of time" in (runs[0].status, runs[1].status) else ""
    limit += f"; {len(runs[1].failures)} reports, of tests that load what cannot run" if runs[1].failures else ""
    compare(name, [cupy_outcomes(r) for r in runs], limit,
            lambda tests: [cupy_outcomes(r) for r in run(tests, 30)])


def cupy_by_jit(name, parts, seconds):
    """CuPy told to compile to PTX, each kernel a text for cuModuleLoadData: what KGUARD_JIT compiles and keeps, and
    in the second round finds."""
    cache = os.path.join(WORK, "jit")

    def asked():
        said = subprocess.run([KGUARD, "cache", "stats", "--format", "json", "--cache", cache], text=True,
                              stdout=subprocess.PIPE).stdout
        return collections.Counter({k: v for k, v in json.loads(said).items() if isinstance(v, int)})

    for round_ in ("compiled", "found"):
        before = asked() if os.path.isdir(cache) else collections.Counter()
        cupy(f"{name}, {round_}", parts, seconds, 5,
             {"CUPY_COMPILE_WITH_PTX": "1", "KGUARD_JIT": "auto", "KGUARD_CACHE_DIR": cache})
        count = asked() - before
        right = count["stores"] > 50 if round_ == "compiled" else count["hits"] > 50
        tell("ok" if right else "FAIL", f"{name}, {round_}: the cache",
             f"{count['stores']} stored, {count['hits']} hits, {count['failures']} failed, {count['refused']} refused")


NUMBA = """cudadrv.test_cuda_driver cudapy.test_array cudapy.test_atomics cudapy.test_matmul cudapy.test_stream_api
cudadrv.test_linker cudapy.test_warp_ops cudapy.test_vectorize cudadrv.test_cuda_ndarray cudapy.test_ipc
cudapy.test_multithreads cudapy.test_dispatcher cudadrv.test_nvrtc cudapy.test_cooperative_groups
cudadrv.test_streams cudapy.test_caching cudadrv.test_linkable_code cudapy.test_gufunc cudapy.test_print
cudadrv.test_module_callbacks cudapy.test_exception cudapy.test_sm cudadrv.test_events cudapy.test_reduction
cudadrv.test_nvjitlink cudapy.test_random cudadrv.test_context_stack cudapy.test_multiprocessing
cudadrv.test_cuda_memory cudapy.test_record_dtype cudapy.test_userexc cudadrv.test_deallocations
cudapy.test_laplace cudadrv.test_select_device cudapy.test_transpose cudadrv.test_reset_device
cudapy.test_cuda_array_interface cudadrv.test_profiler cudapy.test_inspect cudadrv.test_host_alloc
cudapy.test_extending cudadrv.test_pinned cudapy.test_constmem cudadrv.test_runtime cudapy.test_localmem
cudadrv.test_emm_plugins cudapy.test_montecarlo cudadrv.test_inline_ptx cudapy.test_blackscholes""".split()
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


def toolkit():
    """The machine's CUDA; where it is without libnvvm, which nvcc does not need, the carried one in it."""
    cuda = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    carried = os.path.join(BUILT, "nvvm.tar.xz")
    if glob.glob(os.path.join(cuda, "nvvm", "lib64", "libnvvm.so*")) or not os.path.exists(carried):
        return cuda
    home = os.path.join(WORK, "cuda")
    os.mkdir(home)
    for name in set(os.listdir(cuda)) - {"nvvm"}:
        os.symlink(os.path.join(cuda, name), os.path.join(home, name))
    with tarfile.open(carried) as archive:
        archive.extractall(home, filter="data")
    return home


def numba(name, seconds):
    cuda = toolkit()
    # Its compiler is not among the packages; where CUDA_PATH is set, CUDA_HOME is not asked.
    env = {"PYTHONPATH": os.path.join(BUILT, "site") + ":" + os.path.join(HERE, "row_stack"),
           "CUDA_HOME": cuda, "CUDA_PATH": cuda}

    def half(preload, modules, parts, seconds):
        def part(number):
            argv = [sys.executable, os.path.join(HERE, "suite.py"), "@/outcomes", str(number), str(parts),
                    *modules]
            run = Run(name, argv, preload, left(seconds), env)
            path = os.path.join(run.home, "outcomes")
            text = open(path, errors="replace").read() if os.path.exists(path) else ""
            return run, [line.partition(" ")[::2] for line in text.splitlines()]

        with concurrent.futures.ThreadPoolExecutor(parts) as pool:
            done = list(pool.map(part, range(parts)))
        return {test: kind for _, said in done for kind, test in said if kind in OUTCOMES and test}, done

    def run(modules, parts, seconds):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda preload: half(preload, modules, parts, seconds), ("", SHIM)))

    (plain, plain_parts), (with_, with_parts) = run(NUMBA, 4, seconds)
    for outcomes, parts in ((plain, plain_parts), (with_, with_parts)):
        if not outcomes:
            first, said = parts[0]
            tell("FAIL", name, f"no outcome: exit {first.status}, {said[:3]} {first.err[-300:]!r}")
            return
    for (one, _), (other, said) in zip(plain_parts, with_parts):
        if other.status not in (0, "out of time", one.status):
            tell("FAIL", name, f"exit {one.status} and {other.status}, after {said[-1:]}: {other.err[-300:]!r}")
            return
    told = [line for _, said in plain_parts + with_parts for line in said]
    missing = {rest.partition(" ")[0] for kind, rest in told if kind == "missing"}
    failures = sum(len(done.failures) for done, _ in with_parts)
    stopped = any(done.status == "out of time" for done, _ in plain_parts + with_parts)
    limit = ", stopped by the clock" if stopped else ""
    limit += f", {len(missing)} modules not there" if missing else ""
    limit += f"; {failures} reports" if failures else ""
    reasons = collections.Counter(rest for kind, rest in told if kind == "because")
    limit += "".join(f"; {times} times {reason}" for reason, times in reasons.most_common(3))

    def again(tests):
        # Whole modules: a test's id is numba.cuda.tests.PACKAGE.MODULE.CLASS.TEST.
        modules = sorted({".".join(test.split(".")[3:5]) for test in tests})
        return [outcomes for outcomes, _ in run(modules, min(4, len(modules)), 30)]

    compare(name, [plain, with_], limit, again)


# ---- all of it ---------------------------------------------------------------------------------------------


def main():
    python = sys.executable
    jobs = [
        ("numba's tests", numba, 70),
        ("cupy's tests of the core", cupy, [f"cupy_tests/core_tests/test_{x}.py" for x in (
            "raw", "userkernel", "elementwise", "reduction", "scan", "multithreading", "dlpack", "cub_reduction",
            "ndarray_get", "ndarray_owndata", "ndarray_copy_and_view")], 70),
        ("cupy's tests of cuda", cupy, [f"cupy_tests/cuda_tests/test_{x}.py" for x in (
            "graph", "stream", "driver", "runtime", "nvrtc", "nccl", "device", "compiler_cache", "texture",
            "memory", "pinned_memory", "cufft", "cublas", "profile", "curand", "memory_hook")], 70),
        ("cupy's kernels as PTX", cupy_by_jit, [f"cupy_tests/core_tests/{x}" for x in (
            "test_raw.py", "test_userkernel.py", "test_elementwise.py", "test_reduction.py", "test_scan.py",
            "test_cub_reduction.py", "fusion_tests")] + [f"cupy_tests/cuda_tests/test_{x}.py" for x in (
                "texture", "graph", "stream", "compiler_cache")], 60),
        ("graphs", program, [built("graphs")]),
        ("streams", program, [built("streams")]),
        ("streams, per-thread default", program, [built("streams-per-thread")]),
        ("IPC between two processes", program, [built("ipc")]),
        ("many processes", program, [built("processes")]),
        ("NVRTC and the driver's linker", program, [built("compile")]),
        ("cuBLAS and cuFFT", program, [built("libraries")]),
        ("launches from the device, cooperative, virtual memory", program, [built("parallelism")]),
        ("NCCL, one rank", program, [python, os.path.join(HERE, "nccl.py"), "1", "1"]),
        ("NCCL, two ranks on one GPU", program, [python, os.path.join(HERE, "nccl.py"), "2", "1"]),
        ("NCCL, two GPUs", program, [python, os.path.join(HERE, "nccl.py"), "2", "2"], 90),
        ("PyTorch's profiler (CUPTI)", program, [python, os.path.join(HERE, "profiled.py")]),
        ("compute-sanitizer memcheck", tool, ["compute-sanitizer", "--tool", "memcheck"], sanitizer,
         lambda found: found[1][0]),
        ("compute-sanitizer racecheck", tool, ["compute-sanitizer", "--tool", "racecheck"], sanitizer,
         lambda found: found[1][0]),
        ("ncu", tool, ["ncu", "--clock-control", "none", "--csv", "--metrics", "smsp__inst_executed.sum"], ncu,
         lambda found: f"{len(found[1])} measurements", 1),  # one at a time has the counters
        ("cuda-gdb", tool, ["cuda-gdb", "-q", "-batch", "-ex", "break main", "-ex", "run", "-ex", "continue",
                            "--args"], gdb, lambda found: "stopped at main, " + found[1][0]),
    ]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda job: guarded(*job), jobs))
    count = {kind: sum(1 for k, _ in lines if k == kind) for kind in ("ok", "FAIL", "SKIP")}
    last = f"{count['ok']} passed, {count['FAIL']} failed, {count['SKIP']} skipped; " \
           f"{time.monotonic() - START:.0f} s"
    print(last)
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, "system.txt"), "w") as out:
        out.write("\n".join(sorted(line for _, line in lines)) + f"\n{last}\n")
    shutil.rmtree(WORK, ignore_errors=True)
    sys.exit(1 if count["FAIL"] else 0)


if __name__ == "__main__":
    main()
