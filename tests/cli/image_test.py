#!/usr/bin/env python3
"""kguard scan of a saved image whose upper layer upgrades what the lower one brought: the same is said
whether it can seek or comes through a pipe, whatever layer comes first."""
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
KGUARD = os.path.join(OBJDIR, "kguard")
PTXAS = "usr/lib/triton/backends/nvidia/bin/ptxas"


def tar(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def blob(content):
    return "blobs/sha256/" + hashlib.sha256(content).hexdigest(), content


def digest(content):
    return {"digest": "sha256:" + hashlib.sha256(content).hexdigest()}


def layer(version, library, *more):
    """Two packages of this version, from pip and from dpkg, of a library each."""
    text = str(version)
    return tar((f"opt/ext-{text}.dist-info/RECORD", b"ext.so,,\n"), ("opt/ext.so", library),
               (f"opt/ext-{text}.dist-info/METADATA", b"Name: ext\nVersion: %d\n" % version),
               ("var/lib/dpkg/info/libz.list", b"/usr/lib/libz.so\n"), ("usr/lib/libz.so", library),
               ("var/lib/dpkg/status", b"Package: libz\nVersion: %d\n" % version),
               (PTXAS, b"Cuda compilation tools, release 12.%d, V" % (4 * version)), *more)


def scan(argument, stdin):
    """What is said of each file: its name without the image's and the layer's."""
    done = subprocess.run([KGUARD, "scan", "-t", "sm_120", "--format=json", argument], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = json.loads(done.stdout)
    rows = [(row["path"].split("!/")[1], row.get("package", row.get("text")))
            for part in ("files", "findings", "errors") for row in out[part]]
    return done.returncode, rows


def main():
    with open(os.path.join(ROOT, "tests/fixtures/host.so"), "rb") as file:
        library = file.read()
    lower, upper = layer(1, library[:9000]), layer(2, library, ("opt/.wh.ext-1.dist-info", b""))
    manifest = json.dumps({"layers": [digest(lower), digest(upper)]}).encode()
    index = json.dumps({"manifests": [digest(manifest)]}).encode()
    want = 0, [("opt/ext.so", "ext 2"), ("usr/lib/libz.so", "libz 2")]
    with tempfile.TemporaryDirectory() as folder:
        for layers in ((lower, upper), (upper, lower)):
            image = tar(*map(blob, (*layers, manifest)), ("index.json", index))
            path = os.path.join(folder, "image.tar")
            with open(path, "wb") as file:
                file.write(image)
            for argument, stdin in ((path, None), ("-", image)):
                got = scan(argument, stdin)
                assert got == want, f"\n  got  {got}\n  want {want}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
