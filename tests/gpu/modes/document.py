#!/usr/bin/env python3
"""document.py modes.json: docs/modes.md, from what modes.py recorded on a GPU machine."""
import json
import sys

HEAD = """# How programs die for want of code, and who says what

Recorded on {machine} by `make check-gpu-modes`; made from tests/gpu/results/modes.json by `make documents`. For each
way to fail: what the program prints (its last lines), what NVIDIA's driver logs with `CUDA_LOG_FILE=stderr` (eight
lines at most, without times, and without what it logs of a PyTorch program that works), what compute-sanitizer says where it was asked, and what `LD_PRELOAD=libkguard.so` adds to standard error. The
programs stand in tests/gpu/modes and tests/gpu/programs. SITE, WORK, GPU and REPO are directories of that machine.
"""


def block(lines):
    return "```\n" + "\n".join(line.replace("```", "'''") for line in lines) + "\n```\n"


def section(mode):
    yield f"## {mode['title']}\n"
    settings = " ".join(f"{k}={v}" for k, v in sorted(mode["env"].items()))
    if mode["how"]:
        yield f"{mode['how'][0].upper()}{mode['how'][1:]}.\n"
    yield block(["$ " + (settings + " " if settings else "") + mode["command"], *mode["program"],
                 f"(exit {mode['exit']})"])
    yield "NVIDIA's log:" + (" nothing.\n" if not mode["log"] else "\n")
    if mode["log"]:
        yield block(mode["log"])
    if "sanitizer" in mode:
        yield "compute-sanitizer:" + (" nothing.\n" if not mode["sanitizer"] else "\n")
        if mode["sanitizer"]:
            yield block(mode["sanitizer"])
    yield "kguard:\n"
    yield block(mode["kguard"])
    if mode["exception"]:
        yield "and in the program's own message:\n"
        yield block(mode["exception"])


def main():
    with open(sys.argv[1]) as f:
        data = json.load(f)
    modes = [m for m in data["modes"] if "title" in m]
    print(HEAD.format(machine=data["machine"]))
    for mode in modes:
        print(f"- [{mode['title']}](#{mode['name']})")
    print()
    for mode in modes:
        print(f'<a id="{mode["name"]}"></a>\n')
        print("\n".join(section(mode)))


if __name__ == "__main__":
    main()
