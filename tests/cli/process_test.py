#!/usr/bin/env python3
"""kguard scan and processes: whose a library is that another root's process has mapped; kernels where
no thread can be started."""
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
KGUARD = os.path.join(OBJDIR, "kguard")
INSIDE = ["unshare", "-Urm"]
MAPS = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    kept = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print("ready", flush=True)
sys.stdin.read()
"""


def install(site, name):
    """A package of one library."""
    os.makedirs(f"{site}/{name}-1.0.dist-info")
    shutil.copy(os.path.join(ROOT, "tests/fixtures/host_ptx.so"), f"{site}/a.so")
    with open(f"{site}/{name}-1.0.dist-info/RECORD", "w", encoding="utf-8") as record:
        record.write("a.so,,\n")


def package_of(library, *command):
    """As a scan of the command names it, which has mapped it."""
    with subprocess.Popen([*command, sys.executable, "-c", MAPS, library], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        scan = subprocess.run([KGUARD, "scan", f"--pid={process.pid}", "--format=json", "-t", "sm_120"],
                              stdout=subprocess.PIPE)
        process.stdin.close()
    files = {file["path"]: file["package"] for file in json.loads(scan.stdout)["files"]}
    return files[library]


def limit():
    """To the process itself."""
    if os.geteuid() == 0:  # who may start any number
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


def test_without_threads():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for path in (KGUARD, os.path.join(ROOT, "tests/fixtures/default.fatbin")):
            shutil.copy(path, folder)
        command = ["./kguard", "scan", "--kernels", "--why", "-t", "sm_80,sm_90", "default.fatbin"]
        with_threads, without = (subprocess.run(command, cwd=folder, preexec_fn=before, encoding="utf-8",
                                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                                 for before in (None, limit))
        assert (without.returncode, without.stdout) == (0, with_threads.stdout), without


def test_another_root():
    if subprocess.run([*INSIDE, "true"], stderr=subprocess.DEVNULL).returncode:
        return  # no name spaces for us here
    with tempfile.TemporaryDirectory() as folder:
        site, other = f"{folder}/site", f"{folder}/other"
        install(site, "here")
        install(other, "there")
        mounted = ["sh", "-c", f'mount --bind {other} {site} && exec "$@"', "sh"]
        for want, command in (("here 1.0", []), ("there 1.0", [*INSIDE, *mounted])):
            got = package_of(f"{site}/a.so", *command)
            assert got == want, (got, want)


test_without_threads()
test_another_root()
