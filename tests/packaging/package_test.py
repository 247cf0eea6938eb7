#!/usr/bin/env python3
"""make install, deb and wheel: what they leave works from where it lies. Into a whole system they go in
tests/system/pack.sh."""
import base64
import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

import common
from common import CC, CLEAN, OBJDIR, ROOT, equal

LACKS = os.path.join(ROOT, "examples", "voxelize.sm_60-90.fatbin")


def run(*command, **more):
    return common.run(*command, **more).stdout


def make(*arguments):
    return run("make", "--no-print-directory", "-C", ROOT, f"OBJDIR={OBJDIR}", f"CC={CC}", *arguments)


def files(folder):
    return {os.path.relpath(os.path.join(place, name), folder): os.stat(os.path.join(place, name)).st_mode & 0o777
            for place, _, names in os.walk(folder) for name in names}


def works(bindir, libdir):
    """The command and the library of one place, as somebody uses them who has nothing else."""
    kguard = os.path.join(bindir, "kguard")
    assert re.fullmatch(r"kguard \d+\.\d+\.\d+\n", run(kguard, "--version"))
    assert "KG101" in run(kguard, "scan", "--target", "sm_120", LACKS, code=1)
    maps = "print([l for l in open('/proc/self/maps') if 'libkguard' in l][0].split()[-1])"
    equal(run(kguard, "run", "--", "python3", "-c", maps).strip(),
          os.path.realpath(os.path.join(libdir, "libkguard.so")))
    # The bare name, where ld.so looks.
    env = {"LD_LIBRARY_PATH": libdir, "LD_PRELOAD": "libkguard.so"}
    equal(run("python3", "-c", maps, env=env).strip(), os.path.join(libdir, "libkguard.so"))


def test_install(folder):
    folder = os.path.join(folder, "stage")
    where = [f"DESTDIR={folder}", "PREFIX=/opt/kg"]
    make("install", *where)
    equal(files(folder), {f"opt/kg/{name}": mode for name, mode in {
        "bin/kguard": 0o755, "include/kguard.h": 0o644, "lib/libkguard.a": 0o644,
        "lib/libkguard.so": 0o644, "lib/pkgconfig/kguard.pc": 0o644,
        "share/bash-completion/completions/kguard": 0o644, "share/man/man1/kguard.1": 0o644,
        "share/man/man5/kguard-cache.5": 0o644, "share/man/man7/libkguard.7": 0o644}.items()})
    root = os.path.join(folder, "opt", "kg")
    works(os.path.join(root, "bin"), os.path.join(root, "lib"))

    # A running program keeps the file that it has mapped.
    with open(os.path.join(root, "lib", "libkguard.so"), "rb") as mapped:
        make("install", *where)
        equal(os.fstat(mapped.fileno()).st_nlink, 0)

    env = {"PKG_CONFIG_LIBDIR": os.path.join(root, "lib", "pkgconfig")}
    said = run("pkg-config", "--cflags", "--libs", "kguard", env=env).split()
    equal(said, ["-I/opt/kg/include", "-L/opt/kg/lib", "-l:libkguard.a", "-pthread"])
    program = os.path.join(os.path.dirname(folder), "verdict")
    run(CC, os.path.join(ROOT, "examples", "verdict.c"), "-o", program,
        *[word.replace("/opt/kg", root) for word in said])
    assert "KG101" in run(program, "sm_120", LACKS, code=1)
    make("uninstall", *where)
    equal(files(folder), {})
    make("uninstall", *where)


def test_anywhere_with_any_flags(folder):
    """In a folder of any name, and what a distribution puts into CFLAGS leaves the library's imports alone."""
    place = os.path.join(folder, "a b:\u00e9")
    os.mkdir(place)
    for name in (".ci", "Makefile", "include", "packaging", "shim", "tests"):
        os.symlink(os.path.join(ROOT, name), os.path.join(place, name))
    text = "build/shim/report/text.o"
    flags = "-O2 -D_FORTIFY_SOURCE=3 -fstack-protector-all" + (" -flto" if "gcc" in CC else "")
    run("make", "-C", place, "OBJDIR=build", f"CC={CC}", f"CFLAGS={flags}", text)
    imports = run("nm", "--undefined-only", os.path.join(place, text))
    assert "kgi_text_add" in imports and "_chk" not in imports, imports
    assert ".gnu.lto" not in run("readelf", "-SW", os.path.join(place, text))


def test_wheel(folder):
    path = os.path.join(ROOT, make("wheel").split()[-1])
    with open(path, "rb") as wheel:
        first = wheel.read()
    equal(make("wheel").split()[-1], path)
    with open(path, "rb") as wheel:
        equal(hashlib.sha256(wheel.read()).digest(), hashlib.sha256(first).digest())
    name = re.fullmatch(r"(kguard-[\d.]+)-(py3-none-manylinux_2_17_\w+)\.whl", os.path.basename(path))
    with zipfile.ZipFile(path) as wheel:
        equal(wheel.testzip(), None)
        info = f"{name.group(1)}.dist-info/"
        rows = {row[0]: row[1:] for row in csv.reader(wheel.read(info + "RECORD").decode().splitlines())}
        equal(sorted(rows), sorted(wheel.namelist()))
        for file, (digest, size) in rows.items():
            data = wheel.read(file)
            if file != info + "RECORD":
                made = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
                equal((digest, size), ("sha256=" + made.decode(), str(len(data))), file)
        assert f"\nTag: {name.group(2)}\n" in wheel.read(info + "WHEEL").decode()
        assert "\nName: kguard\n" in wheel.read(info + "METADATA").decode()
        assert "libzstd" in wheel.read(info + "NOTICES").decode()
        # As an installer puts them: scripts into bin, data into the environment.
        for entry in wheel.infolist():
            place = re.sub(r"^[^/]*\.data/(data/|scripts(?=/))", lambda m: "bin" * (m.group(1)[0] == "s"),
                           entry.filename)
            target = os.path.join(folder, place)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as out:
                out.write(wheel.read(entry))
            os.chmod(target, entry.external_attr >> 16 & 0o777)
    works(os.path.join(folder, "bin"), os.path.join(folder, "lib"))


def test_deb(folder):
    if not shutil.which("dpkg-deb"):
        return
    paths = [os.path.join(ROOT, line) for line in make("deb").split()]
    for path in paths:
        name = os.path.basename(path).split("_")[0]
        equal(run("dpkg-deb", "-f", path, "Package").strip(), name)
        run("dpkg-deb", "-x", path, folder)
        for file in "copyright", "changelog.gz", "changelog.Debian.gz", "NOTICES.gz":
            assert os.path.exists(os.path.join(folder, "usr/share/doc", name, file)), (name, file)
    (triplet,) = [n for n in os.listdir(os.path.join(folder, "usr/lib")) if n.endswith("-linux-gnu")]
    works(os.path.join(folder, "usr/bin"), os.path.join(folder, "usr/lib", triplet))


for name, test in list(globals().items()):
    if name.startswith("test_"):
        with tempfile.TemporaryDirectory() as place:
            test(place)
        print("ok", name)
