#!/usr/bin/env python3
"""How programs die for want of code, one after the other, on this machine's GPU: what the program says,
what NVIDIA's own log and compute-sanitizer say, and what kguard says.

    tests/gpu/modes/modes.py [PATTERN...]        run by tests/gpu/modes.sh

Needs what check.py needs. Writes $OUT/modes.json, from which document.py makes docs/modes.md, and one
line per mode: `ok NAME`, `FAIL NAME: why` or `SKIP NAME: reason`.
"""
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
GPU = os.path.join(ROOT, "build-gpu")
CASES = os.path.join(ROOT, "tests", "gpu", "cases")
PROGRAMS = os.path.join(ROOT, "tests", "gpu", "programs")
SHIM = os.path.join(ROOT, os.environ.get("KGUARD_SO", "build/libkguard.so"))
CUDA = os.environ.get("CUDA_HOME", "/usr/local/cuda")
OUT = os.environ["OUT"]
WORK = tempfile.mkdtemp(prefix="kguard-modes.")
SITE = os.path.join(WORK, "site")
END = time.monotonic() + float(os.environ.get("MODES_SECONDS", 165))
PYTHON = sys.executable
PATTERNS = sys.argv[1:]
SM80 = "arch=compute_80,code=sm_80"
SM90 = "arch=compute_90,code=sm_90"

# ---- building ------------------------------------------------------------------------------------


def nvcc(name, *words):
    """A program linked to the shared runtime, as nvcc makes it; the words that made it are told."""
    out = os.path.join(WORK, name)
    subprocess.run([os.path.join(CUDA, "bin", "nvcc"), "-cudart", "shared", "-o", out, *words,
                    "-Xlinker", "-rpath=" + os.path.join(CUDA, "lib64")],
                   check=True, cwd=HERE, capture_output=True, text=True)
    return out


def launch(name, *targets, define=()):
    words = [w for t in targets for w in ("-gencode", t)]
    return nvcc(name, *words, *define, "launch.cu")


def consequence(name):
    objects = []
    for source, target in (("producer", SM80), ("consumer", SM90)):
        objects.append(os.path.join(WORK, source + ".o"))
        subprocess.run([os.path.join(CUDA, "bin", "nvcc"), "-gencode", target, "-c", "-o", objects[-1],
                        source + ".cu"], check=True, cwd=HERE, capture_output=True, text=True)
    return nvcc(name, "-gencode", SM90, *objects)


def partial_image(name):
    """A fatbin whose code for 9.0 lacks the kernel that its code for 8.0 has."""
    out = os.path.join(WORK, name)
    subprocess.run([os.path.join(CUDA, "bin", "nvcc"), "-fatbin", "-gencode", SM80, "-gencode", SM90,
                    "-DWITHOUT_900", "-o", out, "launch.cu"], check=True, cwd=HERE,
                   capture_output=True, text=True)
    return out


def build_extension():
    source = os.path.join(WORK, "ext")
    shutil.copytree(os.path.join(PROGRAMS, "ext"), source)
    env = dict(os.environ, TORCH_CUDA_ARCH_LIST="8.0", MAX_JOBS="4", CUDA_HOME=CUDA)
    subprocess.run([PYTHON, "-m", "pip", "install", "-v", "--no-index", "--no-deps",
                    "--no-build-isolation", "--target", SITE, source],
                   env=env, check=True, capture_output=True, text=True)


# ---- the modes -----------------------------------------------------------------------------------


class Mode:
    def __init__(self, name, title, argv, wants, env=None, how="", rc=1, sanitize=False, tail=14,
                 needs=None, before=None):
        self.name, self.title, self.argv, self.wants = name, title, argv, wants
        self.env, self.how, self.rc = env or {}, how, rc
        self.sanitize, self.tail, self.needs, self.before = sanitize, tail, needs, before


def ext(mode):
    return [PYTHON, os.path.join(PROGRAMS, "ext", "run.py"), mode]


def load(path, *kernel):
    return [PYTHON, os.path.join(HERE, "load.py"), path, *kernel]


def hide_compiler(argv):
    """The command in a mount name space where the driver's JIT compiler is an empty file."""
    script = """
for f in $(ldconfig -p | sed -n 's/.*libnvidia-ptxjitcompiler.so.1.*=> //p') \
    /usr/local/nvidia/lib*/libnvidia-ptxjitcompiler.so.1; do
    [ -e "$f" ] && mount --bind /dev/null "$(readlink -f "$f")"
done
exec "$@"
"""
    return ["unshare", "-m", "sh", "-c", script, "sh", *argv]


FIX = r"help .*(TORCH_CUDA_ARCH_LIST|gencode)"
NAMED = r"error\[KG101\]: kernel voxelize_kernel\(float\*, int\) has no code for this GPU"


def extension_modes():
    env = {"PYTHONPATH": SITE}
    how = "a PyTorch extension built with TORCH_CUDA_ARCH_LIST=8.0"
    where = [NAMED, r"package udf[-_]ext 0\.0\.1", r"holds +SASS sm_80; PTX none",
             r"PyTorch itself is fine", r"called +.*run\.py:\d+ in main > .*mesh\.py:\d+", FIX]
    return [
        Mode("extension-checked", "An extension without code for the GPU; it checks its launches",
             ext("checked"), where + [r"RuntimeError|AcceleratorError", r"\(kguard: voxelize_kernel"],
             env, how, sanitize=True),
        Mode("extension-unchecked", "The same; nobody checks: the result is silently wrong",
             ext("unchecked"), where + [r"warn\[KG204\].*never asked for the error"], env, how, rc=0),
        Mode("extension-many", "300 launches that nobody checks (torchsparse's and udf_ext's pattern)",
             ext("many"), where + [r"first cause: .*voxelize_kernel.*300 failed calls"], env, how, rc=0),
        Mode("extension-exit", "An extension that ends the process itself, as flash-attention's macro does",
             ext("or_exit"), where + [r"first cause: .*voxelize_kernel"], env, how),
        Mode("extension-later", "The error comes up in a later, innocent operation",
             ext("later"), where + [r"warn\[KG204\].*(earlier failure|launched on)"], env, how),
        Mode("torchrun", "Two ranks",
             [PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
              *ext("rank")[1:]],
             [r"kguard\[\d+ rank 0\]: error\[KG101\]", r"kguard\[\d+ rank 1\]: error\[KG101\]"],
             env, how, tail=6),
    ]


def program_modes():
    bad = os.path.join(WORK, "launch-80")
    return [
        Mode("nvcc-checked", "An nvcc-built program without code for the GPU",
             lambda: [launch("launch-80", SM80)], [NAMED, FIX], how="nvcc -gencode " + SM80,
             sanitize=True),
        Mode("arch-specific", "Code for other GPUs' special instructions only (sm_100a, sm_120a)",
             lambda: [launch("launch-a", "arch=compute_100a,code=sm_100a",
                             "arch=compute_120a,code=sm_120a")],
             [r"KG10[12]", r"sm_100a sm_120a"],
             how="nvcc -gencode arch=compute_100a,code=sm_100a -gencode arch=compute_120a,code=sm_120a",
             sanitize=True),
        Mode("symbol-missing-runtime", "The kernel is missing from the code for this GPU",
             lambda: [launch("launch-partial", SM90, SM80, define=("-DWITHOUT_900",))],
             [r"error\[KG10[16]\]", r"voxelize_kernel\(float\*, int\)"],
             how="a kernel inside #if __CUDA_ARCH__ != 900", sanitize=True),
        Mode("symbol-missing", "The same through the driver API",
             lambda: load(partial_image("partial.fatbin"), "_Z15voxelize_kernelPfi"),
             [r"error\[KG106\].*voxelize_kernel", r"= 500 "]),
        Mode("consequence", "An illegal address, after a launch that failed unchecked",
             lambda: [consequence("consequence")],
             [r"error\[KG101\]: kernel index_kernel\(int\*, int\)",
              r"warn\[KG204\].*700: likely a consequence of .*index_kernel\(int\*, int\)",
              r"CUDA error 700: .*\(kguard: after index_kernel"],
             how="index_kernel is built for 8.0 alone, gather_kernel for 9.0", sanitize=True),
        Mode("force-ptx-jit", "CUDA_FORCE_PTX_JIT=1 left set",
             lambda: [launch("launch-90", SM90)],
             [r"warn\[KG203\]: CUDA_FORCE_PTX_JIT", r"error\[KG101\]", r"unset CUDA_FORCE_PTX_JIT",
              r"needs +CUDA_FORCE_PTX_JIT unset"],
             env={"CUDA_FORCE_PTX_JIT": "1"}),
        Mode("disable-ptx-jit", "CUDA_DISABLE_PTX_JIT=1 left set",
             lambda: [launch("launch-ptx2", "arch=compute_80,code=compute_80")],
             [r"warn\[KG203\]: CUDA_DISABLE_PTX_JIT", r"error\[KG105\]"],
             env={"CUDA_DISABLE_PTX_JIT": "1"}),
        Mode("jit", "PTX alone: the first start compiles it",
             lambda: [launch("launch-ptx", "arch=compute_80,code=compute_80")],
             [r"warn\[KG201\].*will be JIT-compiled"], rc=0,
             env={"CUDA_CACHE_PATH": os.path.join(WORK, "cold")}),
        Mode("compiler-missing", "The driver's JIT compiler is not in the container",
             lambda: hide_compiler([launch("launch-ptx3", "arch=compute_80,code=compute_80")]),
             [r"error\[KG105\]", r"found .*libnvidia-ptxjitcompiler"],
             env={"CUDA_CACHE_DISABLE": "1"}, needs="unshare",
             how="in a mount name space where libnvidia-ptxjitcompiler.so.1 is an empty file"),
        Mode("nccl", "A query that is meant to fail, and the error that a later call is blamed for (NCCL)",
             [os.path.join(GPU, "bin", "hand-13.0-shared"), "nccl"],
             [r"cudaFuncGetAttributes asked; not a launch", r"warn\[KG204\].*earlier failure"], rc=None),
    ]


def driver_modes():
    fat = os.path.join(GPU, "fat")
    cache = os.path.join(WORK, "cupy")
    return [
        Mode("ptx-too-new", "PTX newer than the driver", load(os.path.join(fat, "new.ptx")),
             [r"error\[KG103\]", r"ISA 9\.9", r"= 222 "]),
        Mode("ptx-invalid", "PTX that the driver's compiler refuses", load(os.path.join(fat, "bad.ptx")),
             [r"error\[KG107\]", r"= 218 "]),
        Mode("image-truncated", "A file that was cut short",
             load(os.path.join(CASES, "elf_truncated.cubin")), [r"error\[KG104\]", r"= 200 "]),
        Mode("cached-cubin", "A cache of compiled kernels, filled on a machine with another GPU",
             [PYTHON, os.path.join(HERE, "cached.py"), os.path.join(fat, "bad80.cubin")],
             [r"error\[KG10[14]\]", r"found .*CuPy keeps compiled code in ", r"help +delete "],
             env={"CUPY_CACHE_DIR": cache}, before=[PYTHON, os.path.join(HERE, "cached.py")]),
        Mode("nvrtc", "NVRTC is given an architecture that it does not know",
             [PYTHON, os.path.join(HERE, "nvrtc.py")],
             [r"error\[KG110\]: libnvrtc\.so\.\d+, NVRTC \d+\.\d+, cannot compile for compute_70",
              r"found +it compiles for .*\b90\b"]),
        Mode("triton", "Triton with a ptxas that does not know the GPU",
             [PYTHON, os.path.join(PROGRAMS, "triton_kernel.py")],
             [r"warn\[KG110\]: .*ptxas of CUDA 11\.7, which does not know sm_90.*unset TRITON_PTXAS_PATH"],
             env={"TRITON_PTXAS_PATH": os.path.join(GPU, "ptxas-11.7"),
                  "TRITON_CACHE_DIR": os.path.join(WORK, "triton")},
             how="TRITON_PTXAS_PATH leads to the ptxas of CUDA 11.7"),
    ]


# ---- running -------------------------------------------------------------------------------------


def run(argv, env, seconds=70):
    """(exit code, what it printed), standard output and error as one."""
    full = {k: v for k, v in os.environ.items() if not k.startswith(("KGUARD", "LD_PRELOAD"))}
    full["CUDA_CACHE_PATH"] = os.path.join(WORK, "compute-cache")
    full.update(env)
    left = max(1, min(seconds, END - time.monotonic()))
    process = subprocess.Popen(argv, env=full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        out = process.communicate(timeout=left)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out = process.communicate()[0]
        return "timeout", out.decode(errors="replace")
    return process.returncode, out.decode(errors="replace")


def cut(line, most):
    return line if len(line) <= most else line[:most] + " [...]"


def plain_lines(text, most):
    """The end of what a program prints, places of this machine by a short name, without progress bars."""
    lines = [x.split("\r")[-1].rstrip() for x in text.splitlines()]
    lines = [cut(x, 400) for x in lines if x.strip()]
    return lines[-most:]


def driver_log(text, but=()):
    """The driver's own lines, without times and threads; long ones end without a line end. What is said
    again and again is kept once; but: lines that are left out."""
    lines = re.findall(r"\[\d\d:\d\d:\d\d[^]]*\]\[\d+\](\[CUDA\].*?)(?=\[\d\d:\d\d:\d\d|\n|$)", text)
    once = [x for x in dict.fromkeys(lines) if x not in but]
    return [cut(x, 300) for x in once]


HEALTHY = []
HEALTHY_LOCK = threading.Lock()


def healthy_log():
    """What the driver logs of a PyTorch program that works: it is asked things that it answers with an
    error before there is a context."""
    with HEALTHY_LOCK:
        if not HEALTHY:
            _, log = run([PYTHON, "-c", "import torch; print(torch.zeros(8, device='cuda').sum())"],
                         {"CUDA_LOG_FILE": "stderr"})
            HEALTHY.append(driver_log(log))
        return HEALTHY[0]


def shorten(lines):
    pairs = ((SITE, "SITE"), (WORK, "WORK"), (GPU, "GPU"), (ROOT, "REPO"))
    out = []
    for line in lines:
        for long, short in pairs:
            line = line.replace(long, short)
        out.append(line)
    return out


def do(mode):
    if mode.needs and not shutil.which(mode.needs):
        return {"name": mode.name, "skip": f"no {mode.needs} here"}
    argv = mode.argv() if callable(mode.argv) else mode.argv

    def fresh():
        if mode.before:
            run(mode.before, mode.env)
    fresh()
    rc, out = run(argv, mode.env)
    record = {"name": mode.name, "title": mode.title, "how": mode.how,
              "env": {k: shorten([v])[0] for k, v in mode.env.items() if k != "PYTHONPATH"},
              "command": shorten([" ".join(os.path.basename(w) if w == PYTHON else w for w in argv[:9]
                                           if "\n" not in w)])[0],
              "exit": rc, "program": shorten(plain_lines(out, mode.tail))}
    problems = []
    if mode.rc is not None and (rc == 0) != (mode.rc == 0):
        problems.append(f"without kguard: exit {rc}, {out[-300:]!r}")
    fresh()
    _, log = run(argv, dict(mode.env, CUDA_LOG_FILE="stderr"))
    record["log"] = shorten(driver_log(log, healthy_log())[-8:])
    if mode.sanitize and shutil.which("compute-sanitizer"):
        fresh()
        _, said = run(["compute-sanitizer", "--target-processes", "all", *argv], mode.env)
        record["sanitizer"] = shorten([cut(x, 300) for x in said.splitlines()
                                       if x.startswith("=========")][:12])
    fresh()
    with_rc, said = run(argv, dict(mode.env, LD_PRELOAD=SHIM))
    record["kguard"] = shorten([x for x in said.splitlines() if re.match(r"kguard\[", x)])
    record["exception"] = shorten([cut(x, 400) for x in said.splitlines()
                                   if "(kguard: " in x and not x.startswith("kguard[")][:2])
    if with_rc != rc:
        problems.append(f"exit {rc} became {with_rc}: {said[-300:]!r}")
    problems += [f"does not say {want!r}" for want in mode.wants if not re.search(want, said)]
    blocks = re.findall(r"(?m)^kguard\[[^]]*\]: error.*\n(?:kguard\[[^]]*\]:   .*\n?)*", said)
    problems += [f"a report of {b.count(chr(10))} lines" for b in blocks if b.count("\n") > 12]
    record["problems"] = problems
    return record


def main():
    os.makedirs(OUT, exist_ok=True)
    if not os.path.exists(SHIM) or not os.path.isdir(GPU):
        print(f"FAIL build: {SHIM} or build-gpu/ is missing (tests/gpu/prepare.sh)")
        return 1
    wanted = [m for m in program_modes() + driver_modes() + extension_modes()
              if not PATTERNS or any(p in m.name for p in PATTERNS)]
    records = {}

    def one(mode):
        try:
            record = do(mode)
        except Exception as e:
            text = getattr(e, "stderr", "") or ""
            record = {"name": mode.name, "problems": [f"{type(e).__name__}: {e} {text[-500:]}"]}
        records[mode.name] = record
        problems = record.get("problems")
        print(f"SKIP {mode.name}: {record['skip']}" if "skip" in record else
              f"FAIL {mode.name}: {'; '.join(problems)}" if problems else f"ok {mode.name}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(7) as pool:
        extension = None
        if any(m.env.get("PYTHONPATH") for m in wanted):
            extension = pool.submit(build_extension)
        running = [pool.submit(one, m) for m in wanted if not m.env.get("PYTHONPATH")]
        if extension:
            extension.result()
        running += [pool.submit(one, m) for m in wanted if m.env.get("PYTHONPATH")]
        for future in running:
            future.result()
    rc, machine = run(["nvidia-smi", "--query-gpu=name,driver_version,compute_cap",
                       "--format=csv,noheader"], {}) if shutil.which("nvidia-smi") else (1, "")
    order = [m.name for m in extension_modes() + program_modes() + driver_modes()]
    with open(os.path.join(OUT, "modes.json"), "w") as f:
        json.dump({"machine": "one " + machine.strip(), "modes": [records[n] for n in order if n in records]}, f,
                  indent=1, sort_keys=True)
        f.write("\n")
    failed = sum(bool(r.get("problems")) for r in records.values())
    skipped = sum("skip" in r for r in records.values())
    print(f"{len(records) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    shutil.rmtree(WORK, ignore_errors=True)
    return 1 if failed or not records else 0


if __name__ == "__main__":
    sys.exit(main())
