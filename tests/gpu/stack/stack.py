#!/usr/bin/env python3
"""The stack of tests/gpu/stack, broken, half cured and cured, on this machine's GPU: what `kguard scan`
says before it runs, what it prints alone, and what `kguard run` adds; then `kguard doctor`.

    tests/gpu/stack/stack.py        run by tests/gpu/stack.sh

Writes $OUT/stack.json, from which document.py makes a part of docs/stack.md, and a line for each check:
`ok NAME` or `FAIL NAME: why`.
"""
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
STACK = os.path.join(ROOT, "build-gpu", "stack")
KGUARD = os.path.join(ROOT, os.environ.get("KGUARD_BIN", "build/kguard"))
OUT = os.environ["OUT"]
WORK = tempfile.mkdtemp(prefix="kguard-stack.")
PYTHON = os.environ.get("STACK_PYTHON", sys.executable)
TARGET = os.environ.get("STACK_TARGET", "sm_90")
LIBRARIES = ("udf_ext.abi3.so", "torchsparse/backend.abi3.so", "flash_attn_2_cuda.abi3.so")

# What must be printed, of scan and of run.
SCAN = {
    "broken": [r"3 cannot run, 0 will be compiled at first use, 0 fine",
               r"\(torchsparse 2\.1\.0\)", r"FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=\"9\.0\"",
               r"FLASH_ATTN_CUDA_ARCHS=90 pip install"],
    "half": [r"0 cannot run, 3 will be compiled at first use, 0 fine"],
    "cured": [r"0 cannot run, 0 will be compiled at first use, 3 fine"],
}
PROGRAM = {
    "broken": (1, [r"imports: torch torchsparse flash_attn udf_ext", r"warnings: none", r"mesh: 0 of 512",
                   r"features: 0\.0", r"CUDA error \(flash_fwd_launch:\d+\): no kernel image"]),
    "half": (0, [r"warnings: none", r"mesh: 256 of 512", r"features: 216\.0", r"attention: 1\.0"]),
    "cured": (0, [r"warnings: none", r"mesh: 256 of 512", r"features: 216\.0", r"attention: 1\.0"]),
}
KERNELS = (r"compute_udf_kernel\(float\*, int\)", r"gather_scatter_kernel\(float\*, float const\*, int\)",
           r"flash_fwd_kernel\(float\*, int\)")
RUN = {
    "broken": [*(rf"error\[KG101\]: kernel {k} has no code for this GPU" for k in KERNELS),
               r"called +.*app\.py:\d+ in <module> > .*app\.py:\d+ in extract_mesh",
               r"warn\[KG204\]: .*compute_udf_kernel",
               r"warn\[KG204\]: .*gather_scatter_kernel",
               r"no kernel image .*\(kguard: flash_fwd_kernel\(float\*, int\) of flash_attn_2_cuda\.abi3\.so\)",
               r"kguard: ended with exit code 1; 218 CUDA calls failed",
               rf"kguard:   first cause  kernel {KERNELS[0]} of .*udf_ext\.abi3\.so \(udf-ext 0\.0\.0\)",
               *(rf"kguard:   .*{re.escape(x)} \(.*\) for 9\.0: no code for this GPU \[KG101\]"
                 for x in LIBRARIES)],
    "half": [*(rf"warn\[KG201\]: .*{re.escape(x)}" for x in LIBRARIES),
             r"kguard: ended with exit code 0; no CUDA call was seen to fail"],
    "cured": [r"kguard: ended with exit code 0; no CUDA call was seen to fail"],
}


def run(argv, env):
    """(exit code, standard output and error as one)"""
    full = {k: v for k, v in os.environ.items() if not k.startswith(("KGUARD", "LD_PRELOAD"))}
    full.update(env, PYTHONUNBUFFERED="1")
    process = subprocess.Popen(argv, env=full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True, cwd=HERE)
    try:
        out = process.communicate(timeout=100)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return "timeout", process.communicate()[0].decode(errors="replace")
    return process.returncode, out.decode(errors="replace")


def lines(text):
    for long, short in ((STACK, "SITE"), (WORK, "WORK"), (HERE, "APP"), (ROOT, "REPO"),
                        (os.path.expanduser("~"), "~")):
        text = text.replace(long, short)
    text = re.sub(r"(?m)^(  kernel +Linux \d+\.\d+)\S*", r"\1", text)  # the builder's own suffixes
    return [x if len(x) <= 400 else x[:400] + " [...]" for x in text.splitlines() if x.strip()]


def missing(wants, text):
    return [f"does not say {want!r}" for want in wants if not re.search(want, text)]


def do(state):
    site = os.path.join(STACK, state)
    env = {"PYTHONPATH": site, "CUDA_CACHE_PATH": os.path.join(WORK, state)}
    command = [PYTHON, os.path.join(HERE, "app.py")]
    scan_rc, scan = run([KGUARD, "scan", site, "--target", TARGET], {})
    rc, alone = run(command, env)
    # Its own cache: what the first start leaves would spare the second the compilation.
    env["CUDA_CACHE_PATH"] += "-kguard"
    with_rc, said = run([KGUARD, "run", "--", *command], env)
    want_rc, wants = PROGRAM[state]
    problems = missing(SCAN[state], scan) + missing(wants, alone) + missing(wants + RUN[state], said)
    if (rc, with_rc) != (want_rc, want_rc):
        problems.append(f"exit {rc} alone, {with_rc} with kguard, instead of {want_rc}: {said[-400:]}")
    for block in re.findall(r"(?m)^kguard\[[^]]*\]: error.*\n(?:kguard\[[^]]*\]:   .*\n?)*", said):
        if block.count("\n") > 12:
            problems.append(f"a report of {block.count(chr(10))} lines")
    return {"state": state, "scan": lines(scan), "scan_exit": scan_rc, "alone": lines(alone), "exit": rc,
            "run": lines(said), "run_exit": with_rc, "problems": problems}


def doctor():
    rc, said = run([KGUARD, "doctor"], {})
    problems = missing([r"kernel's +\d+\.\d+", r"libcuda\.so\.1 +/", r"PTX compiler +/",
                        r"device files +/dev/nvidia", r"libcudart\.so\.\d+.* +/"], said)
    return {"state": "doctor", "said": lines(said), "exit": rc,
            "problems": problems and problems + [said[-1500:]]}


def main():
    os.makedirs(OUT, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        work = [pool.submit(do, state) for state in ("broken", "half", "cured")] + [pool.submit(doctor)]
        records = [future.result() for future in work]
    for record in records:
        problems = record.pop("problems")
        name = record["state"]
        print(f"FAIL {name}: {'; '.join(problems)}" if problems else f"ok {name}", flush=True)
        record["ok"] = not problems
    with open(os.path.join(OUT, "stack.json"), "w") as f:
        json.dump(records, f, indent=1, sort_keys=True)
        f.write("\n")
    return 0 if all(r["ok"] for r in records) else 1


if __name__ == "__main__":
    sys.exit(main())
