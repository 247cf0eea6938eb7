#!/usr/bin/env python3
"""Real wheels of the stack this project was made for, scanned and run: `kguard scan` of them for an RTX 5090,
and app.py under `kguard run` on the simulated RTX 5090 of tests/fake.

    make && make fake && tests/stack/record.py FOLDER [PYTHON3.12]

Makes virtual environments in FOLDER (13 GB) where they are not there yet, and writes recorded.json, from
which document.py makes docs/stack.md. Needs a network, gcc, unshare, and CPython 3.9 to 3.12. PyTorch, its
kernels and their registration are real; the driver is that of tests/fake, and the runtime is its libcudart with
runtime.c beside it.
"""
import datetime
import glob
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
KGUARD = os.path.join(OBJDIR, "kguard")
FAKE = os.path.join(OBJDIR, "fake")
FOLDER = os.path.abspath(sys.argv[1])
PYTHON = sys.argv[2] if len(sys.argv) > 2 else "python3.12"
STACKS = {
    "broken": (["torch==2.5.1", "torchvision==0.20.1", "xformers==0.0.29.post1", "triton==3.1.0", "numpy"],
               ["torchvision", "xformers.ops", "triton"]),
    "cured": (["torch==2.8.0", "torchvision==0.23.0", "numpy"], ["torchvision", "triton"]),
}
WHEELS = ["torch==2.7.1"]  # a half cure: looked at as the file that pip downloads
TOLD = re.compile(r"^(torch|torchvision|xformers|triton|nvidia-cuda-runtime.*)==", re.I)


def call(*argv, env=None, check=True):
    result = subprocess.run(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace", timeout=1800)
    if check and result.returncode:
        sys.exit(f"{' '.join(argv)}: exit {result.returncode}\n{result.stdout[-2000:]}")
    return result.returncode, result.stdout


def pip(python, *words):
    call(python, "-m", "pip", "--disable-pip-version-check", *words)


def environment(name, packages):
    folder = os.path.join(FOLDER, name)
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        call(PYTHON, "-m", "venv", folder)
    pip(python, "install", "-q", "--no-cache-dir", *packages)
    return folder, python


def undefined(folder):
    """What the libraries of an environment want from libcudart."""
    names = set()
    for path in glob.glob(f"{folder}/lib/python3.*/site-packages/**/*.so*", recursive=True):
        _, out = call("nm", "-D", "--undefined-only", path, check=False)
        names.update(re.findall(r"\b(_*cuda\w+)@libcudart", out))
    return names


def runtime(folder, wanted):
    """libcudart.so.12 of tests/fake, with runtime.c and, for what is still missing, functions that say so."""
    include, = glob.glob(f"{folder}/lib/python3.*/site-packages/nvidia/cuda_runtime/include")
    work = os.path.join(FOLDER, "runtime")
    os.makedirs(work, exist_ok=True)

    def compile_c(out, source, *flags):
        path = os.path.join(work, out)
        call("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-fPIC", "-w", "-c", "-o", path, source, *flags)
        _, symbols = call("nm", "--defined-only", path)
        return path, set(re.findall(r" T (\w+)", symbols))

    fake, there = compile_c("cudart.o", os.path.join(ROOT, "tests", "fake", "cudart.c"), "-DRUNTIME=12",
                            '-DVISIBILITY="default"', "-I", os.path.join(ROOT, "include"), "-I", FAKE)
    more, also = compile_c("runtime.o", os.path.join(HERE, "runtime.c"), "-I", include)
    missing = os.path.join(work, "missing.c")
    with open(missing, "w") as f:
        f.write("int dprintf(int, const char *, ...);\n")
        for name in sorted(wanted - there - also):
            f.write(f'int {name}(void) {{ dprintf(2, "simulated runtime: no {name}\\n"); return 801; }}\n')
    rest, _ = compile_c("missing.o", missing)
    library = os.path.join(work, "libcudart.so.12")
    call("gcc", "-shared", "-o", library, fake, more, rest, "-Wl,-soname,libcudart.so.12",
         f"-Wl,--version-script={FAKE}/libcudart.so.12.map", "-ldl", "-lpthread")
    return library


def lines(text):
    for long, short in ((FOLDER + "/", ""), (HERE + "/", ""), (ROOT, "REPO"), (os.path.expanduser("~"), "~")):
        text = text.replace(long, short)
    text = re.sub(r"kguard\[\d+", "kguard[4242", text)
    return [line if len(line) <= 400 else line[:400] + " [...]" for line in text.splitlines() if line.strip()]


def main():
    os.makedirs(FOLDER, exist_ok=True)
    made = {name: environment(name, packages) for name, (packages, _) in STACKS.items()}
    library = runtime(made["broken"][0], set().union(*(undefined(folder) for folder, _ in made.values())))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("KGUARD", "KGFAKE", "LD_", "CUDA"))}
    simulated = dict(clean, LD_PRELOAD=library, LD_LIBRARY_PATH=FAKE)
    records = []
    for name, (folder, python) in made.items():
        command = [python, os.path.join(HERE, "app.py"), *STACKS[name][1]]
        _, frozen = call(python, "-m", "pip", "--disable-pip-version-check", "freeze")
        record = {"name": name, "versions": [x for x in frozen.splitlines() if TOLD.match(x)]}
        record["scan_exit"], scan = call(KGUARD, "scan", folder, "-t", "sm_120", env=clean, check=False)
        record["alone_exit"], alone = call(*command, env=simulated, check=False)
        # As a container starts it: the first process of its name space.
        record["run_exit"], run = call("unshare", "-Urpf", "--mount-proc", KGUARD, "run", "--", *command,
                                       env=simulated, check=False)
        record.update(scan=lines(scan), alone=lines(alone), run=lines(run),
                      command=lines(" ".join(["python3", *command[1:]]))[0])
        records.append(record)
    for wheel in WHEELS:
        place = os.path.join(FOLDER, "wheels")
        if not glob.glob(os.path.join(place, wheel.replace("==", "-") + "-*.whl")):
            pip(made["broken"][1], "download", "-q", "--no-deps", "--no-cache-dir", "-d", place, wheel)
        path, = glob.glob(os.path.join(place, wheel.replace("==", "-") + "-*.whl"))
        rc, scan = call(KGUARD, "scan", path, "-t", "sm_120", env=clean, check=False)
        records.append({"name": wheel, "versions": [wheel], "scan_exit": rc,
                        "scan": lines(scan.replace(place + "/", ""))})
    with open(os.path.join(HERE, "recorded.json"), "w") as f:
        json.dump({"date": datetime.date.today().isoformat(), "python": sys.version.split()[0],
                   "records": records}, f, indent=1, sort_keys=True)
        f.write("\n")


if __name__ == "__main__":
    main()
