#!/usr/bin/env python3
"""include/kguard.h: its examples, and that it says what the command and the reports say."""
import glob
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
LIBRARY = os.path.join(OBJDIR, "libkguard.so")
EXAMPLE = os.path.join(ROOT, "examples", "last_diagnosis.py")
CC = os.environ.get("CC", "gcc")
SAN = os.environ.get("SAN", "")
SAN_FLAGS = [f"-fsanitize={SAN}"] if SAN else []
TARGETS = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]

os.environ["KG_FAKE"] = os.path.join(OBJDIR, "fake")
os.environ["ASAN_OPTIONS"] = "detect_leaks=0"


def equal(got, want):
    assert got == want, f"\n  got  {got!r}\n  want {want!r}"


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          timeout=60, **more)


def preloaded(script, **variables):
    """Runs Python text or a file with the library preloaded."""
    runtimes = [name for part, name in (("address", "libasan.so"), ("thread", "libtsan.so"))
                if part in SAN]
    preload = [run(CC, f"-print-file-name={name}").stdout.strip() for name in runtimes] + [LIBRARY]
    command = [script] if os.path.exists(script) else ["-c", script]
    return run(sys.executable, *command, cwd=os.path.join(ROOT, "examples"),
               env=dict(os.environ, LD_PRELOAD=":".join(preload), **variables))


# ---- the last diagnosis --------------------------------------------------------------------------------


def test_example_in_python(folder):
    result = preloaded(EXAMPLE)
    library = os.path.join(ROOT, "examples", "voxelize.sm_60-90.fatbin")
    lines = result.stdout.splitlines()
    equal(result.returncode, 3)
    assert lines[0].startswith(f"KG101: {library} holds SASS sm_60 "), result
    assert lines[1].startswith("to do: rebuild voxelize"), result
    without = run(sys.executable, EXAMPLE)
    equal(without.returncode, 1)
    assert "RuntimeError" in without.stderr


ASK = """
import ctypes, os, run
ask = ctypes.CDLL(None).kg_last_diagnosis
ask.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
ask.restype = ctypes.c_size_t
def get(form, size=16384):
    text = ctypes.create_string_buffer(b'?' * size, size + 1)
    length = ask(form, text, size)
    return length, text.value.decode()
def fail():
    try: run.main()
    except RuntimeError: pass
"""


def test_forms(folder):
    """Both are what was written."""
    text = preloaded(ASK + "fail(); print(get(0)[1], end='')")
    equal([line for line in text.stderr.splitlines() if "error" in line or "]:   " in line],
          text.stdout.splitlines())
    said = preloaded(ASK + "fail(); print(get(1)[1], end='')", KGUARD_LOG_FORMAT="json")
    events = {json.loads(line)["event"]: line for line in said.stderr.splitlines() if line[0] == "{"}
    equal(said.stdout, events["failure"] + "\n")


def test_sizes(folder):
    script = ASK + """
length, whole = get(1)
assert (length, whole) == (0, ''), whole
fail()
length, whole = get(1)
assert length == len(whole) > 500, (length, whole)
assert get(1, 10) == (length, whole[:9])
assert get(1, 1) == (length, '')
assert ask(1, None, 0) == length
assert get(1, length) == (length, whole[:-1])
assert get(1, length + 1) == (length, whole)
for form in (2, -1, 1 << 30):
    assert get(form) == (0, '')
"""
    result = preloaded(script)
    equal((result.returncode, result.stderr.count("Traceback")), (0, 0))


def test_fork_starts_without(folder):
    script = ASK + """
fail()
if os.fork() == 0:
    os._exit(get(1)[0] != 0)
status = os.wait()[1]
assert status == 0 and get(1)[0]
"""
    equal(preloaded(script).returncode, 0)


def test_one_that_comes_again_is_the_last(folder):
    """Two libraries fail in turn: each time the one that failed is named, though both are reported once."""
    script = ASK + """
import json, shutil, sys
sys.path.insert(0, '.')
import mesh
gpu = mesh.Gpu(run.driver())
files = [os.path.join(%r, name) for name in ('a.fatbin', 'b.fatbin')]
for file in files:
    shutil.copy('voxelize.sm_60-90.fatbin', file)
for file in files + files[::-1] + files:
    try: mesh.mesh2index(gpu, file, [1.0])
    except RuntimeError: pass
    assert json.loads(get(1)[1])['library'] == os.path.realpath(file), (file, get(1))
""" % folder
    result = preloaded(script)
    equal((result.returncode, result.stdout), (0, ""))
    equal(result.stderr.count("error[KG101]"), 2)


def test_registered_libraries_fail_in_turn(folder):
    """Their images are known again by where they lie, which is another way."""
    script = ASK + """
import json
libraries = [ctypes.CDLL('libextension%d.so' % v) for v in (12, 13)]
for library in libraries + libraries[::-1] + libraries:
    assert library.extension_bad() == 209
    assert json.loads(get(1)[1])['library'] == os.path.realpath(library._name), get(1)
"""
    libraries = os.path.join(OBJDIR, "scenarios")
    assert glob.glob(f"{libraries}/libextension1[23].so"), f"nothing in {libraries}: make scenarios"
    script = script.replace("'libextension", f"'{libraries}/libextension")
    result = preloaded(script, LD_LIBRARY_PATH=f"{OBJDIR}/fake:{libraries}")
    equal((result.returncode, result.stderr.count("error[KG101]")), (0, 2))


def test_nothing_when_off(folder):
    for variables in ({"KGUARD": "0"}, {"KGUARD_LOG": "off"}):
        equal(preloaded(ASK + "fail(); print(get(1))", **variables).stdout, "(0, '')\n")


def test_version(folder):
    script = "import ctypes; print(ctypes.CDLL(None).kg_api_version())"
    header = open(os.path.join(ROOT, "include", "kguard.h"), encoding="utf-8").read()
    equal(preloaded(script).stdout.strip(), header.split("KG_API_VERSION ")[2].split()[0])
    equal(run(os.path.join(OBJDIR, "kguard"), "--version").stdout.split()[1],
          header.split('KG_VERSION "')[1].split('"')[0])


# ---- libkguard.a ------------------------------------------------------------------------------------------


def build(folder, *compiler, source="examples/verdict.c"):
    program = os.path.join(folder, "verdict")
    result = run(*compiler, *SAN_FLAGS, *WARNINGS, "-Iinclude", source, "-x", "none",
                 os.path.join(OBJDIR, "libkguard.a"), "-pthread", "-o", program, cwd=ROOT)
    equal((result.returncode, result.stderr), (0, ""))
    return program


def test_example_in_c_says_what_the_command_says(folder):
    program = build(folder, CC, "-std=c11")
    files = sorted(path for path in glob.glob("tests/fixtures/host*", root_dir=ROOT)
                   + glob.glob("tests/fixtures/*.*bin", root_dir=ROOT)
                   + glob.glob("tests/fixtures/*.ptx", root_dir=ROOT) if not path.endswith(".txt"))
    assert len(files) > 30
    scan = json.loads(run(os.path.join(OBJDIR, "kguard"), "scan", "--format=json", "--fail-on=never",
                          "-t", ",".join(TARGETS), *files, cwd=ROOT).stdout)
    want = {(file["path"], verdict["target"]): (verdict["verdict"], verdict["code"])
            for file in scan["files"] for verdict in file["verdicts"]}
    for target in TARGETS:
        result = run(program, target, *files, cwd=ROOT)
        for line in result.stdout.splitlines():
            path, rest = line.split(": ", 1)
            if (path, target) not in want or rest.split(" ")[0].rstrip(",:") not in (
                    "native", "family", "jit", "link", "none", "no-cuda"):
                continue
            answer, code = want.pop((path, target))
            equal((path, target, rest.split(" ")[0].rstrip(",:")), (path, target, answer))
            assert code in rest if code else "KG" not in rest, (line, code)
        equal(result.returncode, 1)
    equal(want, {})


def test_help_and_errors(folder):
    program = build(folder, CC, "-std=c11")
    result = run(program, "sm_120", "tests/fixtures/cubin_90a.cubin", cwd=ROOT)
    equal(result.stdout, "tests/fixtures/cubin_90a.cubin: none (SASS sm_90a; PTX none), KG102 only "
          "arch-specific (a/f) code of another GPU: "
          + run(os.path.join(OBJDIR, "kguard"), "scan", "-t", "sm_120", "--format=jsonl",
                "tests/fixtures/cubin_90a.cubin", cwd=ROOT).stdout.split('"help":"')[1]
          .split('","')[0].split('"}')[0].replace('\\"', '"') + "\n")
    equal(run(program, "sm_120", "/no/file").stderr, "/no/file: No such file or directory\n")
    equal(run(program, "sm_120", folder).stderr, f"{folder}: Is a directory\n")
    equal(run(program, "sm_x", "/bin/true").stderr, "sm_x: not a target\n")
    damaged = os.path.join(folder, "damaged.fatbin")
    with open(os.path.join(ROOT, "tests/fixtures/plain_targets.fatbin"), "rb") as whole, \
            open(damaged, "wb") as part:
        part.write(whole.read()[:3000])
    assert f"{damaged}: " in run(program, "sm_120", damaged).stdout.split("\n", 1)[1]
    with open(os.path.join(ROOT, "tests/fixtures/unpacked_120.fatbin"), "rb") as whole, \
            open(damaged, "wb") as part:  # cut inside a payload that is passed over
        fatbin = bytearray(whole.read())
        fatbin[8:16], fatbin[24:32] = (n.to_bytes(8, "little") for n in (400112, 400000))
        part.write(fatbin)
    said = run(os.path.join(OBJDIR, "kguard"), "scan", "-t", "sm_120", damaged).stderr
    assert f"{damaged}: byte 0x{len(fatbin):x}: the file ends inside" in said, said
    assert said.split("error: ")[1] in run(program, "sm_120", damaged).stdout, said


def test_header_in_cpp(folder):
    program = build(folder, "g++", "-std=c++17", "-x", "c++")
    assert "none" in run(program, "sm_120", "tests/fixtures/cubin_90a.cubin", cwd=ROOT).stdout


def test_only_the_header_s_names_are_seen(folder):
    names = run("nm", "-g", "--defined-only", os.path.join(OBJDIR, "libkguard.a")).stdout
    got = sorted(line.split()[2] for line in names.splitlines() if len(line.split()) == 3)
    header = open(os.path.join(ROOT, "include", "kguard.h"), encoding="utf-8").read()
    want = sorted(part.split("(")[0].split()[-1].lstrip("*")
                  for part in header.split("\nKG_STATIC ")[1:])
    equal([name for name in got if not name.startswith("__odr_asan")], want)


def main():
    failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(folder)
                print(f"ok {name}")
            except (AssertionError, KeyError, IndexError, subprocess.SubprocessError) as error:
                print(f"FAIL {name}: {error}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
