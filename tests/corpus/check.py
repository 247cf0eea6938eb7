#!/usr/bin/env python3
"""Reads real wheels with our reader and with cuobjdump -all, and compares, per library, every piece of
code: kind, target, version and the names of its kernels. Then asks `kguard scan` for the verdicts and
compares them with what the projects' own build files led one to expect. With SARIF_SCHEMA, the path of OASIS's
sarif-schema-2.1.0.json (Debian's gcc-15-source has it, in GCC's testsuite; json.schemastore.org serves it) and
Python's jsonschema, the SARIF of each wheel is validated too. See corpus.mk."""
import collections
import glob
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
OBJ = os.environ["OBJDIR"]
KINDS = {"1": "ptx", "2": "cubin", "8": "lto", "16": "mercury", "32": "index", "64": "ptx", "128": "tile"}
TOOLKIT = "/usr/local/cuda/lib64"
SECTIONS = (".nv_fatbin", "__nv_relfatbin")
PLATFORMS = ["manylinux1_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64",
             "manylinux_2_24_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64", "any"]


def fetch(requirement, python, folder):
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check",
               "--no-deps", "--only-binary=:all:", "-d", folder, "--python-version", python]
    for p in PLATFORMS:
        command += ["--platform", p]
    run = subprocess.run(command + [requirement], capture_output=True, text=True)
    wheels = glob.glob(folder + "/*.whl")
    return wheels[0] if wheels else "not fetched: " + run.stderr.strip().splitlines()[-1]


def oracles(folder):
    """cuobjdump from its own wheel, and older ones from $CUOBJDUMP (paths, ':' between): the newest
    refuses some older cubins."""
    wheel = fetch("nvidia-cuda-cuobjdump", "3", folder)
    with zipfile.ZipFile(wheel) as z:
        name = next(n for n in z.namelist() if n.endswith("/cuobjdump"))
        path = z.extract(name, folder)
    os.chmod(path, 0o755)
    found = []
    for tool in [path] + [p for p in os.environ.get("CUOBJDUMP", "").split(":") if p]:
        version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
        found.append((tool, re.search(r"V([\d.]+)", version).group(1)))
    return found


def sections(path):
    """[(start, end)] of those that cuobjdump reads."""
    text = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True).stdout
    found = re.findall(r"\]\s+(\S+)\s+\S+\s+[0-9a-f]+\s+([0-9a-f]+)\s+([0-9a-f]+)", text)
    return [(int(at, 16), int(at, 16) + int(size, 16)) for name, at, size in found if name in SECTIONS]


def ours(path):
    """Codes in the sections that cuobjdump reads, and how many are elsewhere."""
    inside, elsewhere = collections.Counter(), collections.Counter()
    spans = sections(path)
    start = time.monotonic()
    run = subprocess.run([OBJ + "/corpus/list", path], capture_output=True, text=True)
    seconds = time.monotonic() - start
    for line in run.stdout.splitlines():
        place, _, kind, target, version, _, _, *kernels = line.split(" ")
        kind = KINDS.get(kind, kind)
        if any(a <= int(place) < b for a, b in spans):
            inside[kind, target, version, tuple(sorted(kernels))] += 1
        else:
            elsewhere[kind] += 1
    return inside, elsewhere, seconds, run.stderr.strip()


def theirs(cuobjdump, path):
    codes, entry, kernels = collections.Counter(), None, []
    start = time.monotonic()
    run = subprocess.Popen([cuobjdump, "-all", "-symbols", "-ptx", path], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, errors="replace")

    def close():
        if entry:
            codes[entry["kind"], entry.get("arch", "?"), entry.get("version", "?"),
                  tuple(sorted(set(kernels)))] += 1

    for line in run.stdout:
        if line.startswith("Fatbin ") and line.rstrip().endswith("code:"):
            close()
            kind = {"elf": "cubin", "ptx": "ptx"}.get(line.split()[1], line.split()[1])
            entry, kernels = {"kind": kind}, []
        elif line.startswith("arch = ") and entry is not None:
            entry["arch"] = re.sub(r"^(sm|compute)_", "", line.split()[2])
        elif line.startswith("code version = ") and entry is not None:
            entry["version"] = ".".join(re.findall(r"\d+", line))
        elif " ENTRY " in line and line.split()[0] == "FUNC" or "STO_ENTRY" in line:
            kernels.append(line.split()[-1])
        elif ".entry" in line:
            match = re.match(r"\s*(?:\.\w+\s+)*\.entry\s+([\w$]+)", line)
            if match:
                kernels.append(match.group(1))
    close()
    error = run.stderr.read().strip()
    run.wait()
    return codes, time.monotonic() - start, error


def difference(a, b):
    """What one has and the other has not, in a few words."""
    only_a, only_b = a - b, b - a
    if not only_a and not only_b:
        return "equal"

    def short(counter):
        words = ["%s %s %s with %d kernels%s" % (k, t, v, len(names), " x%d" % n if n > 1 else "")
                 for (k, t, v, names), n in counter.most_common(3)]
        return "; ".join(words) + ("; ..." if len(counter) > 3 else "") or "none"

    return "DIFFERENT: only ours: %s. Only cuobjdump's: %s" % (short(only_a), short(only_b))


def read_all(tools, path, expected):
    """What the first tool that can read the file says; the first one's complaint where none can."""
    complaint = None
    for tool, version in tools:
        codes, seconds, error = theirs(tool, path)
        if "fatal" not in error:
            note = "cuobjdump %s, for %s: %s" % (version, tools[0][1], complaint) if complaint else ""
            return difference(expected, codes), seconds, note
        complaint = complaint or re.sub(r"cuobjdump fatal\s*: | in '.*'", "", error.splitlines()[-1])
    return "cuobjdump cannot read it: " + complaint, seconds, ""


def compare(tools, path, name, rows):
    inside, elsewhere, seconds, complaint = ours(path)
    if inside or elsewhere:
        result, slower, note = read_all(tools, path, inside)
        rows.append((name, os.path.getsize(path) / 1e6, sum(inside.values()),
                     sum(len(k[3]) * n for k, n in inside.items()), dict(elsewhere),
                     "; ".join(filter(None, (result, note, complaint))), seconds, slower))
        print("  %-60s %s" % (os.path.basename(name), result), flush=True)


def is_library(name):
    return ".so" in os.path.basename(name) or name.endswith((".a", ".cubin", ".fatbin"))


def compare_libraries(tools, wheel, folder, rows):
    with zipfile.ZipFile(wheel) as z:
        for name in filter(is_library, z.namelist()):
            path = z.extract(name, folder)
            compare(tools, path, name, rows)
            os.remove(path)


def toolkit(tools, folder):
    """The libraries of a CUDA toolkit, as a part of the results; and how many differ."""
    rows = []
    print(folder, flush=True)
    for name in sorted(filter(is_library, os.listdir(folder))):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and not os.path.islink(path):
            compare(tools, path, name, rows)
    return ("## The libraries of %s\n\n" % os.path.basename(os.path.realpath(os.path.join(folder, "..")))
            + table(rows) + "\n", sum(r[5].startswith("DIFF") for r in rows))


def table(rows):
    text = ("| library | MB | codes | kernels | elsewhere | result | s | cuobjdump s |\n"
            "|---|---|---|---|---|---|---|---|\n")
    for name, size, codes, kernels, elsewhere, result, fast, slow in rows:
        where = ", ".join("%d %s" % (n, k) for k, n in sorted(elsewhere.items())) or "-"
        text += "| %s | %.0f | %d | %d | %s | %s | %.2f | %.2f |\n" % (
            name, size, codes, kernels, where, result, fast, slow)
    return text


def held(entries):
    """SASS 50 60; PTX 80 (8.4), leaving out what holds no kernels."""
    def order(entry):
        return int(re.sub(r"\D", "", entry["target"])), entry["target"]

    found = {"SASS": [], "PTX": []}
    for e in sorted((e for e in entries if not e.get("empty")), key=order):
        kind = e["kind"].replace("cubin", "SASS").replace("ptx", "PTX").replace("lto", "LTO")
        kind += " to be linked" if e.get("relocatable") else ""
        name = e["target"].split("_")[1] + (" (%s)" % e["version"] if e["kind"] == "ptx" else "")
        if name not in found.setdefault(kind, []):
            found[kind].append(name)
    return "; ".join(k + " " + (" ".join(v) or "none") for k, v in found.items())


def verdicts(wheel, expected):
    run = subprocess.run([OBJ + "/kguard", "scan", wheel, "--target", "sm_120", "--driver", "570.26",
                          "--kernels", "--format", "json"], capture_output=True, text=True)
    scan = json.loads(run.stdout)
    said, holds = {}, {}
    for f in scan["files"]:
        v = f["verdicts"][0]
        said[f["path"].split("!/", 1)[-1]] = v["verdict"] + (" " + v["code"] if v.get("code") else "")
        holds[f["path"].split("!/", 1)[-1]] = held(f["entries"])
    for f in scan.get("findings", []):
        said[f["path"].split("!/", 1)[-1]] = f["code"]
    if expected == "-":
        return said, holds, "no expectation"
    library, wanted = expected.split("=")
    found = [v for k, v in said.items() if os.path.basename(k).startswith(library.split("*")[0])]
    ok = any(wanted in v.split() for v in found)
    return said, holds, "as expected" if ok else "NOT AS EXPECTED: " + (", ".join(found) or "nothing said")


def sarif_problem(wheel):
    """What the schema says against the SARIF of a wheel; "" where it says nothing, or none is given."""
    if "SARIF_SCHEMA" not in os.environ:
        return ""
    import jsonschema
    run = subprocess.run([OBJ + "/kguard", "scan", wheel, "--target", "sm_90,sm_120", "--format", "sarif"],
                         capture_output=True, text=True)
    with open(os.environ["SARIF_SCHEMA"]) as file:
        schema = json.load(file)
    kind = jsonschema.validators.validator_for(schema)
    checker = kind(schema, format_checker=kind.FORMAT_CHECKER)
    problems = ["%s: %s" % (e.json_path, e.message[:200]) for e in checker.iter_errors(json.loads(run.stdout))]
    return "; ".join(problems[:3])


def write(path, version, parts):
    with open(path, "w") as out:
        out.write("""# Real wheels, read by kguard and by cuobjdump

Made by `make check-corpus` on %s (%s), cuobjdump %s. Per library: pieces of code in the
sections that cuobjdump reads, and whether the two lists (kind, target, version, kernel names of each) are
equal. "Elsewhere" are fatbins in other sections, which `cuobjdump -all` does not list. Seconds are of one
run each on a busy machine, ours with all kernels inflated, cuobjdump with -symbols -ptx: no benchmark.

""" % (time.strftime("%Y-%m-%d"), platform.processor() or platform.machine(), version))
        for part in parts:
            out.write(part)
        out.write(open(HERE + "/sources.md").read())


def main():
    only = sys.argv[1:]
    parts, bad = [], 0
    base = tempfile.mkdtemp(prefix="kguard-corpus-")
    try:
        tools = oracles(base)
        if TOOLKIT in only or (not only and os.path.isdir(TOOLKIT)):
            part, differ = toolkit(tools, TOOLKIT)
            parts.append(part)
            bad += differ
        for line in open(HERE + "/wheels.tsv"):
            if line.startswith("#"):
                continue
            requirement, python, expected, source = line.rstrip("\n").split("\t")
            if only and not any(requirement.startswith(o) for o in only):
                continue
            print(requirement, flush=True)
            folder = tempfile.mkdtemp(dir=base)
            wheel = fetch(requirement, python, folder)
            part = "## %s\n\n" % requirement
            if wheel.startswith("not fetched"):
                part += wheel + "\n\n"
                bad += 1
            else:
                rows = []
                compare_libraries(tools, wheel, folder, rows)
                said, holds, judged = verdicts(wheel, expected)
                problem = sarif_problem(wheel)
                bad += judged.startswith("NOT") + sum(r[5].startswith("DIFF") for r in rows) + bool(problem)
                part += "SARIF: %s\n\n" % problem if problem else ""
                part += "`%s`\n\n" % os.path.basename(wheel)
                part += table(rows) if rows else ""
                part += "\nsm_120, driver 570.26: %s (expected: %s; %s).\n\n" % (judged, expected, source)
                part += "".join("- %s: **%s**. %s\n" % (k, v, holds.get(k, ""))
                                for k, v in sorted(said.items())) + "\n"
                print("  verdicts:", judged, flush=True)
            parts.append(part)
            shutil.rmtree(folder)
            if not only:  # what was read is kept, also when the rest is not reached
                write(HERE + "/results.md", ", ".join(v for _, v in tools), parts)
        if only:
            sys.stdout.write("".join(parts))
    finally:
        shutil.rmtree(base)
    print("%d differences, unexpected verdicts or wheels not fetched" % bad)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
