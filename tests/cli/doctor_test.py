#!/usr/bin/env python3
"""kguard doctor: each fact that an environment can change, and what is wrong with it."""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
KGUARD = os.path.join(OBJDIR, "kguard")
LIBRARY = os.path.join(OBJDIR, "libkguard.so")
HERE = os.path.exists("/proc/driver/nvidia/version") or os.path.exists("/dev/dxg")


def doctor(folder, **variables):
    """The facts: {name: (value, problem)}; what several share a name is a list."""
    environment = {"HOME": folder, "PATH": "/usr/bin:/bin", **variables}
    if "ASAN_OPTIONS" in os.environ:
        environment["ASAN_OPTIONS"] = os.environ["ASAN_OPTIONS"]
    result = subprocess.run([KGUARD, "doctor", "--format=json"], stdout=subprocess.PIPE, timeout=60,
                            env=environment)
    answer = json.loads(result.stdout)
    facts = {}
    for fact in answer["facts"]:
        facts.setdefault(fact["name"], []).append((fact["value"], fact.get("problem")))
    problems = sum("problem" in fact for fact in answer["facts"])
    equal(answer["problems"], problems)
    equal(result.returncode, 1 if problems else 0)
    text = subprocess.run([KGUARD, "doctor"], stdout=subprocess.PIPE, encoding="utf-8", timeout=60,
                          env=environment).stdout
    for fact in answer["facts"]:
        assert fact["value"] in text and fact.get("problem", "") in text, (fact, text)
    return facts


def equal(got, want):
    assert got == want, f"\n  got  {got!r}\n  want {want!r}"


def one(facts, name):
    assert len(facts[name]) == 1, facts[name]
    return facts[name][0]


def test_driver_and_runtimes_are_found_as_the_loader_would(folder):
    fake = os.path.join(OBJDIR, "fake")
    facts = doctor(folder, LD_LIBRARY_PATH=f"/nowhere::{fake}:{fake}/.")
    value, problem = facts["libcuda.so.1"][0]
    equal(value, f"{fake}/libcuda.so.1 (version 570.26) (LD_LIBRARY_PATH)")
    if not HERE:
        equal((problem, facts.get("also")), (None, None))
        equal(one(facts, "kernel's"), ("none", "no NVIDIA driver is loaded on this machine"))
    for name in ("libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"):
        assert any(value.startswith(f"{fake}/{name}") for value, _ in facts[name]), facts[name]
    equal([name for name in facts if name.endswith(".map")], [])  # those are text, beside them
    if not HERE:
        equal(one(doctor(folder), "libcuda.so.1"), ("not found", None))


def test_driver_of_wsl(folder):
    """It has a libcuda.so.1.1, which is no version."""
    with open(os.path.join(folder, "libcuda.so.1.1"), "wb"):
        os.symlink("libcuda.so.1.1", os.path.join(folder, "libcuda.so.1"))
    equal(doctor(folder, LD_LIBRARY_PATH=folder)["libcuda.so.1"][0][0],
          f"{folder}/libcuda.so.1 (LD_LIBRARY_PATH)")


def test_runtimes_of_an_environment(folder):
    packages = os.path.join(folder, "venv/lib/python3.12/site-packages")
    places = ["nvidia/cuda_runtime/lib/libcudart.so.12", "nvidia/cu13/lib/libcudart.so.13",
              "torch/lib/libcudart-d0da41ae.so.11.0"]
    for place in places:
        os.makedirs(os.path.dirname(os.path.join(packages, place)))
        with open(os.path.join(packages, place), "w", encoding="utf-8") as file:
            file.write(place)
    info = os.path.join(packages, "nvidia_cuda_runtime_cu12-12.1.105.dist-info")
    os.makedirs(info)
    for name, text in (("RECORD", f"{places[0]},,\n"),
                       ("METADATA", "Name: nvidia-cuda-runtime-cu12\nVersion: 12.1.105\n")):
        with open(os.path.join(info, name), "w", encoding="utf-8") as file:
            file.write(text)
    values = [value for values in doctor(folder, VIRTUAL_ENV=f"{folder}/venv").values()
              for value, _ in values]
    assert f"{packages}/{places[0]} (nvidia-cuda-runtime-cu12 12.1.105)" in values, values
    assert f"{packages}/{places[1]}" in values and f"{packages}/{places[2]}" in values
    os.makedirs(f"{folder}/venv/bin")
    os.symlink(sys.executable, f"{folder}/venv/bin/python3")
    values = [value for values in doctor(folder, PATH=f"{folder}/venv/bin:/usr/bin").values()
              for value, _ in values]
    assert f"{packages}/{places[1]}" in values, "by PATH alone"


def test_names_of_files_cannot_write_to_the_terminal(folder):
    libraries = os.path.join(folder, "venv/lib/python3.12/site-packages/torch/lib")
    os.makedirs(libraries)
    with open(os.path.join(libraries, "libcudart\x1b[2J.so"), "w", encoding="utf-8"):
        pass
    text = subprocess.run([KGUARD, "doctor"], stdout=subprocess.PIPE, encoding="utf-8",
                          env={"VIRTUAL_ENV": f"{folder}/venv", "HOME": folder}).stdout
    equal((text.count("\x1b"), text.count("libcudart\\x1b[2J.so")), (0, 2))


def test_preload(folder):
    if os.environ.get("SAN"):
        return  # the command is then no static program: the loader would take these for it
    equal(one(doctor(folder), "libkguard.so"), (LIBRARY, None))
    equal(one(doctor(folder), "LD_PRELOAD"), ("not set (kguard run sets it)", None))
    equal(one(doctor(folder, LD_PRELOAD=LIBRARY), "LD_PRELOAD"), (LIBRARY, None))
    equal(doctor(folder, LD_PRELOAD=f"{LIBRARY} /no/lib.so:{LIBRARY}")["LD_PRELOAD"],
          [(LIBRARY, None),
           ("/no/lib.so", "No such file or directory: the loader goes on without it"),
           (LIBRARY, "named twice")])


def test_settings(folder):
    facts = doctor(folder, KGUARD_LOG="loud", KGUARD_TARGET="sm_x", KGUARD_JIT="auto",
                   KGUARD_LOGFILE="/tmp/x", KGUARD_LOG_FILE="/no/where/log", KGUARD_PTXAS="/no/ptxas",
                   KGUARD_CACHE_DIR="here", KGUARD_CACHE_RO="/:there", KGUARD_CACHE_MAX_SIZE="many")
    equal(one(facts, "KGUARD_CACHE_RO"), ("/:there", "there: not an absolute path"))
    equal(one(doctor(folder, KGUARD_CACHE_RO="/usr:/tmp"), "KGUARD_CACHE_RO"),
          ("/usr:/tmp", "/tmp: not looked at: neither yours nor root's alone"))
    link = os.path.join(folder, "tier")
    os.symlink("/usr", link)
    equal(one(doctor(folder, KGUARD_CACHE_RO=link), "KGUARD_CACHE_RO"), (link, f"{link}: Not a directory"))
    equal(one(facts, "KGUARD_LOG"),
          ("loud", "not one of off|error|warn|info|debug; the default counts"))
    equal(one(facts, "KGUARD_TARGET"), ("sm_x", "not a target: sm_120, 120 or 12.0"))
    equal(one(facts, "KGUARD_JIT"), ("auto", None))
    equal(one(facts, "KGUARD_LOG_FORMAT"), ("text (default)", None))
    equal(one(facts, "KGUARD_LOGFILE"), ("/tmp/x", "there is no such setting"))
    equal(one(facts, "KGUARD_LOG_FILE"),
          ("/no/where/log", "No such file or directory: nothing is written"))
    equal(one(facts, "KGUARD_PTXAS"), ("/no/ptxas", "No such file or directory"))
    assert "not an absolute path" in one(facts, "KGUARD_CACHE_DIR")[1]
    assert "not a size" in one(facts, "KGUARD_CACHE_MAX_SIZE")[1]
    assert "relative" in one(doctor(folder, KGUARD_LOG_FILE="x.log"), "KGUARD_LOG_FILE")[1]
    equal(one(doctor(folder, KGUARD_LOG_FILE=f"{folder}/%p.log"), "KGUARD_LOG_FILE")[1], None)
    equal(one(doctor(folder, KGUARD_LOG_FILE=folder), "KGUARD_LOG_FILE")[1],
          "Is a directory: nothing is written")
    equal(one(doctor(folder, KGUARD="0"), "KGUARD"), ("0", "everything is off, other settings too"))


def test_driver_cache(folder):
    name = "the driver's"
    here = os.path.join(folder, "cache")
    equal(one(doctor(folder), name)[0].split(": ")[:2][0], f"{folder}/.nv/ComputeCache")
    assert "not there yet" in one(doctor(folder), name)[0]
    os.mkdir(here)
    with open(os.path.join(here, "a"), "wb") as file:
        file.write(bytes(3 << 20))
    value, problem = one(doctor(folder, CUDA_CACHE_PATH=here, CUDA_CACHE_MAXSIZE="4294967296"), name)
    assert value.startswith(f"{here}: 3.0 MiB of 4096 MiB"), value
    problem = one(doctor("/dev/shm"), name)[1]
    equal(problem, "on tmpfs: goes with the memory it is in [KG202]")
    assert one(doctor(folder, CUDA_CACHE_DISABLE="1"), name)[1].startswith("PTX is compiled anew")
    equal(one(doctor(folder, CUDA_CACHE_DISABLE="0"), name), one(doctor(folder), name))
    assert "CUDA_CACHE_MAXSIZE" in one(doctor(folder, CUDA_CACHE_PATH=here, CUDA_CACHE_MAXSIZE="100"),
                                       name)[1]
    equal(one(doctor(folder, CUDA_CACHE_PATH=f"{here}/a/b"), name)[1],
          "not writable: nothing is kept")


def test_environment(folder):
    facts = doctor(folder, CUDA_FORCE_PTX_JIT="1", CUDA_DISABLE_PTX_JIT="0", CUDA_VISIBLE_DEVICES="")
    assert "[KG203]" in one(facts, "CUDA_FORCE_PTX_JIT")[1]
    equal(one(facts, "CUDA_DISABLE_PTX_JIT"), ("0", None))
    equal(one(facts, "CUDA_VISIBLE_DEVICES"), ("", "no GPU is visible"))


def test_arguments(folder):
    equal(subprocess.run([KGUARD, "doctor", "x"], stderr=subprocess.DEVNULL).returncode, 2)
    equal(subprocess.run([KGUARD, "doctor", "--format=xml"], stderr=subprocess.DEVNULL).returncode, 2)


def main():
    failed = 0
    os.umask(0o022)
    for name, test in list(globals().items()):
        if not name.startswith("test_") or len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(folder)
                print(f"ok {name}")
            except (AssertionError, KeyError, subprocess.SubprocessError) as error:
                print(f"FAIL {name}: {error}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
