#!/usr/bin/env python3
"""examples/: each is run over the simulated driver, or as far as it goes without what it is for; what
cannot be run is read: every variable, option and path that it names is there."""
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

from common import CC, CLEAN, OBJDIR, ROOT, equal, run

EXAMPLES = os.path.join(ROOT, "examples")
LIBRARY = os.path.join(OBJDIR, "libkguard.so")
KGUARD = os.path.join(OBJDIR, "kguard")
NVCC = shutil.which("nvcc", path=os.environ["PATH"] + ":/usr/local/cuda/bin")
FAKE = os.path.join(OBJDIR, "fake")

try:
    import yaml
except ImportError:
    print("no yaml module for python3")
    sys.exit(77)


def example(*path):
    with open(os.path.join(EXAMPLES, *path), encoding="utf-8") as file:
        return file.read()


# ---- programs --------------------------------------------------------------------------------------------


def test_run_py(folder):
    works = run(sys.executable, os.path.join(EXAMPLES, "run.py"), "--works", env={"KG_FAKE": FAKE})
    assert works.stdout.startswith("voxels: ["), works
    fails = run(sys.executable, os.path.join(EXAMPLES, "run.py"), code=1,
                env={"KG_FAKE": FAKE, "LD_PRELOAD": LIBRARY})
    assert "error[KG101]: kernel voxelize_kernel(float*, int)" in fails.stderr, fails.stderr
    assert "run.py:" in fails.stderr and "mesh.py:" in fails.stderr, fails.stderr


def test_driver_c(folder):
    program = os.path.join(folder, "driver")
    command = re.search(r"^ \*     (gcc .*)$", example("driver.c"), re.M).group(1).split()
    run(CC, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-L", FAKE, *command[1:-3], *command[-1:],
        "-o", program, cwd=ROOT)
    if os.path.exists("/usr/local/cuda/include/cuda.h"):
        run(CC, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I/usr/local/cuda/include",
            os.path.join(EXAMPLES, "driver.c"))
    env = {"LD_LIBRARY_PATH": FAKE, "LD_PRELOAD": LIBRARY}
    fits, lacks = (os.path.join(EXAMPLES, f"voxelize.sm_{n}.fatbin") for n in ("120", "60-90"))
    equal(len(run(program, fits, env=env).stdout.splitlines()), 3)
    done = run(program, lacks, code=1, env=env)
    assert "error[KG101]: kernel voxelize_kernel(float*, int)" in done.stderr, done.stderr
    assert re.search(r"^cuModuleLoad: .*\(kguard: .*voxelize.sm_60-90.fatbin\)$", done.stderr, re.M)
    assert "KG" not in run(program, lacks, code=1, env={"LD_LIBRARY_PATH": FAKE}).stderr
    run(program, code=2, env=env)


def test_torch_extension(folder):
    """Where there is nvcc, the fault and the cure that setup.py names are seen in what it makes of the
    kernel; the rest of it needs PyTorch."""
    setup = example("torch_extension", "setup.py")
    call = next(n for n in ast.walk(ast.parse(setup)) if getattr(n, "id", "") == "CUDAExtension")
    assert call and ast.parse(example("torch_extension", "run.py"))
    sources = re.search(r'CUDAExtension\("voxelize", (\[.*?\])\)', setup).group(1)
    equal(sorted(ast.literal_eval(sources)),
          sorted(n for n in os.listdir(os.path.join(EXAMPLES, "torch_extension"))
                 if n.endswith((".cpp", ".cu"))))
    lists = re.findall(r'TORCH_CUDA_ARCH_LIST="(.*?)"', setup)
    equal(len(lists), 2)
    if not NVCC:
        return
    targets = re.search(r"kguard scan --target (\S+)", setup).group(1)
    for archs, code in zip(lists, (1, 0)):
        flags = []
        for arch in archs.split(";"):  # as torch/utils/cpp_extension.py does
            n = arch.replace("+PTX", "").replace(".", "")
            kinds = ["sm", "compute"] if arch.endswith("+PTX") else ["sm"]
            flags += [f"-gencode=arch=compute_{n},code={kind}_{n}" for kind in kinds]
        made = os.path.join(folder, f"kernel{code}.o")
        run(NVCC, "-c", *flags, "-o", made, os.path.join(EXAMPLES, "torch_extension", "kernel.cu"))
        done = run(KGUARD, "scan", "--target", targets, made, code=code)
        equal("KG101" in done.stdout, code == 1, done.stdout)


# ---- Docker ----------------------------------------------------------------------------------------------


def instructions(text):
    """(NAME, arguments) of a Dockerfile; comments and continued lines as Docker takes them."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        yield line.split(None, 1)


def below(root, text):
    """The text with its absolute paths below a folder."""
    return re.sub(r"(?<![\w./-])/(?=\w)", root + "/", text)


def carry_out(dockerfile, folder, context, stages, arguments):
    """Does what a Dockerfile says, in folders: a stage is a copy of its base's. Returns the last one, its
    environment, and the output of what was run."""
    values, env, output, root = {}, {}, [], None
    for name, rest in instructions(dockerfile):
        if name == "ARG":
            key, _, default = rest.partition("=")
            values[key] = arguments.get(key, default)
            continue
        rest = re.sub(r"\$\{(\w+)\}", lambda m: values[m.group(1)], rest)
        if name == "FROM":
            base, _, stage = rest.partition(" AS ")
            root, env = os.path.join(folder, f"stage{len(stages)}"), {}
            shutil.copytree(stages[base], root)
            stages[stage or "last"] = root
        elif name == "COPY":
            *sources, to = rest.split()
            base = context
            if sources[0].startswith("--from="):
                base = stages[sources.pop(0)[len("--from="):]]
            for source in sources:
                source, target = os.path.join(base, source.lstrip("/")), below(root, to)
                if os.path.isdir(source):
                    shutil.copytree(source, target, dirs_exist_ok=True)
                else:
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    shutil.copy(source, target)
        elif name == "RUN":
            output.append(run("sh", "-e", "-c", below(root, rest), cwd=ROOT).stdout)
        elif name == "ENV":
            env.update(pair.split("=", 1) for pair in below(root, rest).split())
        else:
            raise AssertionError(f"not known here: {name}")
    return root, env, output


def test_dockerfile(folder):
    stages = {name: os.path.join(folder, name) for name in ("my/app", "my/cuda")}
    for source, name, place in (
            ("tests/scenarios/jit/voxelize.compute_80.fatbin", "my/app", "opt/venv/new.fatbin"),
            ("examples/voxelize.sm_60-90.fatbin", "my/app", "opt/venv/old.fatbin"),
            # The real one where there is one, else what it gave once.
            (shutil.which("ptxas", path=NVCC and os.path.dirname(NVCC)) or "tests/scenarios/jit/ptxas",
             "my/cuda", "usr/local/cuda/bin/ptxas")):
        target = os.path.join(stages[name], place)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(os.path.join(ROOT, source), target)
    text = example("docker", "Dockerfile")
    asked = dict(re.findall(r"--build-arg (\w+)=(\S+)", text), COMPILER="my/cuda")
    root, env, output = carry_out(text, folder, OBJDIR, stages, asked)
    warmed, scanned = output
    assert warmed.startswith("1 compiled, 0 were there, 0 failed"), warmed
    assert "KG101" in scanned and "old.fatbin" in scanned, scanned
    assert not os.path.exists(os.path.join(root, "opt/ptxas")), "the compiler is in the image"

    # What the image's environment makes of a program that holds that PTX.
    env.update(LD_LIBRARY_PATH=os.path.join(FAKE, "580"), HOME=folder, KGUARD_LOG="info")
    done = run(os.path.join(OBJDIR, "scenarios", "s60_jit_library"), "run", "warm", env=env)
    assert "JIT: 1 images from the cache" in done.stderr and "0 compiled" in done.stderr, done.stderr


def settings():
    with open(os.path.join(OBJDIR, "packaging", "libkguard.7"), encoding="utf-8") as page:
        return re.findall(r"^\.It Ev (\w+)", page.read(), re.M)


def test_compose(folder):
    base = yaml.safe_load(example("docker", "compose.yaml"))
    over = yaml.safe_load(example("docker", "compose.kguard.yaml"))
    equal(set(over["services"]) - set(base["services"]), set())
    (service,) = over["services"].values()
    known = settings()
    assert known
    for name in service["environment"]:
        assert name == "LD_PRELOAD" or name in known, name
    bind, volume = service["volumes"]
    # Compose takes the first file's folder for what is relative.
    source = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", bind["source"])
    equal(os.path.normpath(os.path.join(EXAMPLES, "docker", source)),
          os.path.join(ROOT, "build", "libkguard.so"))
    equal((bind["type"], bind["target"], bind["read_only"]),
          ("bind", service["environment"]["LD_PRELOAD"], True))
    equal((volume["type"], volume["target"]), ("volume", service["environment"]["KGUARD_CACHE_DIR"]))
    assert volume["source"] in over["volumes"]

    # Laid over a failing program: the mounts are links, and the cache outlives the process.
    for mount in service["volumes"]:
        target = below(folder, mount["target"])
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(LIBRARY, target) if mount["type"] == "bind" else os.makedirs(target, 0o755)
    env = {name: below(folder, value) for name, value in service["environment"].items()}
    made = os.path.join(ROOT, "tests/scenarios/jit/voxelize.sm_120.cubin")
    env.update(LD_LIBRARY_PATH=os.path.join(FAKE, "580"), HOME="/nonexistent", KGUARD_LOG="info",
               KGFAKE_LINKED=made)
    program = os.path.join(OBJDIR, "scenarios", "s60_jit_library")
    for said in "0 images from the cache", "1 images from the cache":
        done = run(program, "run", "compose", env=env)
        assert said in done.stderr, done.stderr


# ---- CI --------------------------------------------------------------------------------------------------


def test_ci_step(folder):
    workflow = yaml.safe_load(example("ci", "gpu-targets.yml"))
    (job,) = workflow["jobs"].values()
    (step,) = [s for s in job["steps"] if "kguard scan" in s.get("run", "")]
    equal([n for n in step["env"]], re.findall(r'"\$(\w+)"', step["run"]))
    os.mkdir(os.path.join(folder, "dist"))
    for fatbin, code in ("voxelize.sm_120.fatbin", 0), ("voxelize.sm_60-90.fatbin", 1):
        with zipfile.ZipFile(os.path.join(folder, "dist", "voxelize-0.1-py3-none-any.whl"), "w") as wheel:
            wheel.write(os.path.join(EXAMPLES, fatbin), "voxelize/_C.fatbin")
        path = OBJDIR + ":" + os.environ["PATH"]
        done = run("bash", "-e", "-c", step["run"], code=code, cwd=folder,
                   env=dict(step["env"], PATH=path, TARGETS="sm_120"))
        equal("KG101" in done.stdout, code == 1, done.stdout)
    # And with the targets as they stand there.
    done = run("bash", "-e", "-c", step["run"], code=1, cwd=folder, env=dict(step["env"], PATH=path))
    assert re.search(r"on +sm_120: no code", done.stdout), done.stdout


for name, test in list(globals().items()):
    if name.startswith("test_"):
        with tempfile.TemporaryDirectory() as place:
            test(place)
        print("ok", name)
