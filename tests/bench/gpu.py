#!/usr/bin/env python3
"""Interleaved A/B runs in separate processes, the order alternating; medians of the pairs' ratios.
See gpu.sh."""
import glob
import os
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
GPU = os.path.join(ROOT, "build-gpu", "bin")
SHIM = os.path.join(ROOT, os.environ.get("KGUARD_SO", "build/libkguard.so"))
OUT = os.environ["OUT"]
LAUNCH_BAR, TORCH_BAR = 0.99, 1.02
lines, results = [], {"ok": 0, "FAIL": 0, "SKIP": 0}


def say(text):
    print(text, flush=True)
    lines.append(text)


def judge(name, good, text):
    kind = "SKIP" if good is None else "ok" if good else "FAIL"
    results[kind] += 1
    say(f"{kind} {name}: {text}")


def measure(argv, env, prefix=()):
    """(the last number a run prints, its wall time, all numbers)"""
    full = {k: v for k, v in os.environ.items() if not k.startswith(("KGUARD", "LD_PRELOAD"))}
    full.update(env)
    begin = time.perf_counter()
    done = subprocess.run([*prefix, *argv], env=full, capture_output=True, text=True, timeout=120)
    wall = time.perf_counter() - begin
    numbers = [x for x in done.stdout.split("\n") if x.replace(".", "", 1).isdigit()]
    if done.returncode or not numbers:
        raise RuntimeError(f"{argv[0]}: rc {done.returncode} {done.stdout} {done.stderr[-300:]}")
    return float(numbers[-1]), wall, [float(x) for x in numbers]


def pairs(argv, count, of):
    """Plain and shim values of `count` pairs."""
    plain, shim = [], []
    for i in range(count):
        order = [(plain, {}), (shim, {"LD_PRELOAD": SHIM})]
        for values, env in order if i % 2 else reversed(order):
            values.append(measure(argv, env)[of])
    return plain, shim


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.4f} (quartiles {low:.4f} {high:.4f})"


def launches(name, program, count=9):
    """The function itself and the door in front of it in one process; and, told, whole processes."""
    argv = [os.path.join(GPU, program)]
    measure(argv, {"LD_PRELOAD": SHIM})
    inside = [measure(argv, {"LD_PRELOAD": SHIM})[2] for _ in range(count)]
    control = [measure(argv, {})[2] for _ in range(count)]
    ratios = [bare / door for bare, door in inside]
    judge(f"launch/{name}", statistics.median(ratios) >= LAUNCH_BAR,
          f"rate by kguard's door / by the function itself {quartiles(ratios)}, bar {LAUNCH_BAR}; "
          f"{statistics.median(b for b, _ in inside):.0f} ns and "
          f"{statistics.median(d for _, d in inside):.0f} ns a launch, {count} processes; "
          f"without kguard the same two loops {quartiles([b / d for b, d in control])}")
    whole = [p[1] / s[1] for p, s in zip(control, inside)]
    say(f"note launch/{name}: whole processes without / with kguard {quartiles(whole)}")


def compare(name, argv, env=None, prefix=(), count=5):
    """What another way to see launches does to the same loop: told, not judged."""
    bare, watched = [], []
    for _ in range(count):
        bare.append(measure(argv, {})[0])
        watched.append(measure(argv, env or {}, prefix)[0])
    ratio = statistics.median(b / w for b, w in zip(bare, watched))
    say(f"note compare/{name}: rate with / without {ratio:.4f}; {statistics.median(bare):.0f} ns "
        f"and {statistics.median(watched):.0f} ns a launch")


def cupti():
    places = [*glob.glob("/usr/local/cuda*/extras/CUPTI/lib64/libcupti.so.13"),
              *glob.glob("/usr/local/cuda*/lib64/libcupti.so.13"),
              *glob.glob(sys.prefix + "/lib/python3*/site-packages/nvidia/*/lib/libcupti.so.13")]
    if not places:
        return judge("compare/cupti", None, "no libcupti.so.13")
    compare("CUPTI callback", [os.path.join(GPU, "gpu_launch")],
            {"CUDA_INJECTION64_PATH": os.path.join(GPU, "gpu_cupti.so"),
             "LD_LIBRARY_PATH": os.path.dirname(places[0])})


def sanitizer():
    tools = [shutil.which("compute-sanitizer"),
             *glob.glob("/usr/local/cuda*/bin/compute-sanitizer"),
             *glob.glob("/usr/local/cuda*/compute-sanitizer/compute-sanitizer")]
    tool = next(filter(None, tools), None)
    if not tool:
        return judge("compare/compute-sanitizer", None, "not installed")
    compare("compute-sanitizer", [os.path.join(GPU, "gpu_launch"), "40"], prefix=[tool], count=1)


def torch(count=9):
    argv = [sys.executable, os.path.join(ROOT, "tests", "bench", "gpu_torch.py")]
    measure(argv, {})
    measure(argv, {"LD_PRELOAD": SHIM})
    plain, shim = pairs(argv, count, 1)
    ratios = [s / p for p, s in zip(plain, shim)]
    judge("pytorch/import+1000", statistics.median(ratios) <= TORCH_BAR,
          f"wall time with / without kguard {quartiles(ratios)}, bar {TORCH_BAR}; "
          f"{statistics.median(plain):.2f} s and {statistics.median(shim):.2f} s, {count} pairs")


def main():
    begin = time.monotonic()
    if not os.path.exists(SHIM) or not os.path.exists(os.path.join(GPU, "gpu_launch")):
        judge("build", False, f"{SHIM} or build-gpu/ is missing (tests/gpu/prepare.sh)")
    else:
        for part, *arguments in ((launches, "cuLaunchKernel", "gpu_launch"),
                                 (launches, "cudaLaunchKernel", "gpu_launch_runtime"),
                                 (torch,), (cupti,), (sanitizer,)):
            try:
                part(*arguments)
            except Exception as e:  # the rest is still worth having
                judge(part.__name__, False, f"{type(e).__name__}: {e}")
    say(f"took {time.monotonic() - begin:.0f} s")
    say(f"{results['ok']} passed, {results['FAIL']} failed, {results['SKIP']} skipped")
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, "bench-gpu.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")
    return 1 if results["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
