#!/usr/bin/env python3
"""Makes a wheel of the command and the library: run by `make wheel`.

    packaging/wheel.py VERSION MACHINE NOTICES FOLDER     the tree is FOLDER/tree

Of the installed tree goes in what is used without a compiler; pip puts it into an environment's bin, lib
and share. A wheel is a zip with a list of what is in it (PEP 427), so Python's own library makes one. The
same files give the same bytes: names in order, one date (SOURCE_DATE_EPOCH), nothing of the file system.
"""
import base64
import glob
import hashlib
import os
import sys
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
SUMMARY = "Names the CUDA kernel and library that cannot run on a GPU, and why"


def metadata(version):
    with open(os.path.join(HERE, "..", "README.md"), encoding="utf-8") as readme:
        return (f"Metadata-Version: 2.1\nName: kguard\nVersion: {version}\nSummary: {SUMMARY}\n"
                "License: MIT\nLicense-File: LICENSE\nLicense-File: NOTICES\nRequires-Python: >=3.6\n"
                "Description-Content-Type: text/markdown\n\n" + readme.read())


def content(version, tag, notices, tree):
    """What is in the wheel but its list: (name, bytes, mode)."""
    info, data = f"kguard-{version}.dist-info", f"kguard-{version}.data"
    for kind in "bin/*", "lib/*.so", "share/**":
        for file in sorted(glob.glob(os.path.join(tree, kind), recursive=True)):
            place, run = os.path.relpath(file, tree), kind == "bin/*"
            if os.path.isfile(file):
                with open(file, "rb") as opened:
                    yield (f"{data}/scripts/{place[4:]}" if run else f"{data}/data/{place}",
                           opened.read(), 0o755 if run else 0o644)
    yield f"{info}/METADATA", metadata(version).encode(), 0o644
    yield f"{info}/WHEEL", (f"Wheel-Version: 1.0\nGenerator: kguard {version}\n"
                            f"Root-Is-Purelib: false\nTag: {tag}\n").encode(), 0o644
    for name, file in ("LICENSE", os.path.join(HERE, "..", "LICENSE")), ("NOTICES", notices):
        with open(file, "rb") as text:
            yield f"{info}/{name}", text.read(), 0o644


def main(version, machine, notices, folder):
    # Both binaries need less than that: the library glibc 2.17 at most, the command nothing.
    tag = f"py3-none-manylinux_2_17_{machine}"
    # A zip knows no year before 1980, and every second second.
    date = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), 315532800))[:6]
    path = os.path.join(folder, f"kguard-{version}-{tag}.whl")
    record, lines = f"kguard-{version}.dist-info/RECORD", []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:

        def add(name, data, mode):
            entry = zipfile.ZipInfo(name, date)
            entry.create_system = 3  # Unix: its modes count
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)

        for name, data, mode in content(version, tag, notices, os.path.join(folder, "tree")):
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}\n")
            add(name, data, mode)
        add(record, "".join(lines + [f"{record},,\n"]).encode(), 0o644)
    print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
