#!/usr/bin/env python3
"""docs/stack.md's advice is the one that is given today: the packages of the recorded scans, with code for the
same GPUs under the same paths and versions, are scanned anew, and each line of help must be the recorded one."""
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
KGUARD = os.path.join(OBJDIR, "kguard")
# Code for GPUs of before 2024 alone, as that of the packages: neither sm_120 nor, with it, PTX.
IMAGE = os.path.join(ROOT, "examples", "voxelize.sm_60-90.fatbin")
OLD = os.path.join(ROOT, "tests", "fixtures", "cubin_80.cubin")


def blocks(scan):
    """(path under site-packages, "name version", help) of each library that lacks code and has a package."""
    for i, line in enumerate(scan):
        match = re.match(r"  KG101  (\S+)  \((\S+) (\S+)\)$", line)
        if not match:
            continue
        path = re.sub(r".*site-packages/|.*\.whl!/|SITE/\w+/", "", match.group(1))
        helped = [x for x in scan[i + 1:i + 4] if x.startswith("      help ")]
        if path.startswith("nvidia/") or not helped:
            continue
        yield path, match.group(2), match.group(3), helped[0].strip()


def install(site, path, package, version, image):
    file = os.path.join(site, path)
    info = os.path.join(site, f"{package.replace('-', '_')}-{version}.dist-info")
    os.makedirs(os.path.dirname(file), exist_ok=True)
    os.makedirs(info, exist_ok=True)
    with open(image, "rb") as source, open(file, "wb") as out:
        out.write(source.read())
    with open(os.path.join(info, "METADATA"), "w") as f:
        f.write(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    with open(os.path.join(info, "RECORD"), "a") as f:
        f.write(f"{path},,\n")


def check(name, scan, target, image):
    want = {path: (package, version, helped) for path, package, version, helped in blocks(scan)}
    with tempfile.TemporaryDirectory() as folder:
        site = os.path.join(folder, "lib", "python3.12", "site-packages")
        for path, (package, version, _) in want.items():
            install(site, path, package, version, image)
        result = subprocess.run([KGUARD, "scan", site, "-t", target], stdout=subprocess.PIPE,
                                encoding="utf-8", timeout=60)
    got = {path: (package, version, helped)
           for path, package, version, helped in blocks(result.stdout.splitlines())}
    for path in sorted(set(want) | set(got)):
        if want.get(path) != got.get(path):
            print(f"FAIL {name}: {path}\n  recorded  {want.get(path)}\n  said now  {got.get(path)}")
    print(f"{name}: {len(want)} lines of help")
    return want == got and result.returncode == 1


def main():
    with open(os.path.join(ROOT, "tests", "stack", "recorded.json")) as f:
        wheels = {r["name"]: r["scan"] for r in json.load(f)["records"]}
    with open(os.path.join(ROOT, "tests", "gpu", "results", "stack.json")) as f:
        gpu = {r["state"]: r.get("scan") for r in json.load(f)}
    good = check("broken", wheels["broken"], "sm_120", IMAGE)
    good &= check("torch 2.7.1", wheels["torch==2.7.1"], "sm_120", IMAGE)
    good &= check("extensions", gpu["broken"], "sm_90", OLD)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
