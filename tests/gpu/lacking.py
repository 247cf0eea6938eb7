#!/usr/bin/env python3
"""Which of these libraries hold device code but no SASS for a target, as cuobjdump tells it.

    lacking.py TARGET... -- LIBRARY...

The oracle for `KGUARD_TARGET`: it shares no code with kguard. An entry counts only if it holds a
kernel: every nvcc link leaves a stub cubin of some architecture without one. cuobjdump sees the
fatbin sections only; for files where it finds no kernel, hidden() walks the headers of the fatbins
that lie elsewhere (cuFFT keeps 24 000 of them in .ldata).
"""
import mmap
import os
import re
import struct
import subprocess
import sys
import tempfile

SOC = {53, 62, 72, 87, 88}  # match only themselves, both ways
SAMPLE = 16


def fits(name, target):
    """Whether a cubin that cuobjdump names sm_90a runs as it is on the GPU of target, a number.
    The table of the CUDA programming guide: same major, minor not above; `a` exact; `f` as plain."""
    number, suffix = re.fullmatch(r"sm_(\d+)([af]?)", name).groups()
    number = {101: 110}.get(int(number), int(number))
    if suffix == "a" or number in SOC or target in SOC:
        return number == target
    return number // 10 == target // 10 and number % 10 <= target % 10


def cuobjdump(*arguments, cwd=None):
    tool = os.environ.get("CUOBJDUMP", "cuobjdump")
    done = subprocess.run([tool, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode and "does not contain device code" not in done.stderr + done.stdout:
        raise RuntimeError(f"cuobjdump {' '.join(arguments)[:200]}: {done.stderr.strip()[:300]}")
    return done.stdout


def listed(path, option):
    """[(file name cuobjdump gives it, "sm_90a")]"""
    names = re.findall(r"^(?:ELF|PTX) file\s+\d+: (\S+)$", cuobjdump("-all", option, path), re.M)
    return [(name, re.search(r"\.(sm_\w+)\.(?:cubin|ptx)$", name).group(1)) for name in names]


def kernels_in_cubin(data):
    """How many kernels: function symbols with STO_CUDA_ENTRY (0x10) in st_other."""
    table, size, count = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 58)
    found = 0
    for i in range(count):
        kind, _, _, offset, length = struct.unpack_from("<IQQQQ", data, table + i * size + 4)
        if kind == 2:
            for at in range(offset, offset + length, 24):
                info, other = data[at + 4], data[at + 5]
                found += info & 15 == 2 and other & 0x10 != 0
    return found


def holds_kernel(path, names, option):
    """Whether any of these entries holds a kernel; a sample first, for libraries have thousands."""
    step = max(1, len(names) // SAMPLE)
    for batch in (names[::step], names):
        with tempfile.TemporaryDirectory() as folder:
            for i in range(0, len(batch), 500):
                cuobjdump("-all", option, ",".join(batch[i:i + 500]), path, cwd=folder)
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), "rb") as f:
                    data = f.read()
                if kernels_in_cubin(data) if option == "-xelf" else b".entry" in data:
                    return True
    return False


def hidden(path):
    """The cubin targets of every whole fatbin in the file's bytes, by header: {("sm_90a")}."""
    found = set()
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as data:
        at = data.find(b"\x50\xed\x55\xba\x01\x00\x10\x00")
        while at >= 0:
            end = at + 16 + struct.unpack_from("<Q", data, at + 8)[0]
            entry = at + 16
            while entry + 64 <= min(end, len(data)):
                kind, _, header, size = struct.unpack_from("<HHIQ", data, entry)
                arch, flags = struct.unpack_from("<I", data, entry + 28)[0], \
                    struct.unpack_from("<Q", data, entry + 40)[0]
                if header < 64 or header > 4096:
                    break
                if kind == 2:
                    suffix = "a" if flags & 0x100000 else "f" if flags & 0x200000 else ""
                    found.add(f"sm_{arch}{suffix}")
                entry += header + size
            at = data.find(b"\x50\xed\x55\xba\x01\x00\x10\x00", at + 16)
    return found


def survey(path, targets):
    """What one library says for each target number: "has", "lacks", or "none" (no kernel seen)."""
    cubins = listed(path, "-lelf")
    answers = {}
    for target in targets:
        fitting = [name for name, sm in cubins if fits(sm, target)]
        if fitting and holds_kernel(path, fitting, "-xelf"):
            answers[target] = "has"
    if len(answers) < len(targets):
        any_kernel = bool(answers) or bool(cubins) and \
            holds_kernel(path, [name for name, _ in cubins], "-xelf")
        if not any_kernel:
            ptx = [name for name, _ in listed(path, "-lptx")]
            any_kernel = bool(ptx) and holds_kernel(path, ptx, "-xptx")
        for target in targets:
            answers.setdefault(target, "lacks" if any_kernel else "none")
    return answers


def has_device_code(path):
    """A cheap look before cuobjdump: does the file name the fatbin sections, or hold a fatbin?"""
    try:
        with open(path, "rb") as f:
            if f.read(4) != b"\x7fELF":
                return False
            with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as data:
                return data.find(b"\x50\xed\x55\xba\x01\x00\x10\x00") >= 0
    except (OSError, ValueError):
        return False


def main():
    split = sys.argv.index("--")
    targets = [int(re.sub(r"\D", "", t)) for t in sys.argv[1:split]]
    for path in map(os.path.abspath, sys.argv[split + 1:]):
        if has_device_code(path):
            print(path, survey(path, targets), "in bytes:", *sorted(hidden(path)))


if __name__ == "__main__":
    main()
