#!/usr/bin/env python3
"""document.py recorded.json stack.json: docs/stack.md, from what record.py recorded of real wheels and what
tests/gpu/stack.sh recorded on a GPU machine."""
import json
import re
import sys

HEAD = """# A broken stack and its cure

The stack this project was asked for: PyTorch 2.5.1, torchvision 0.20.1, xformers 0.0.29.post1, triton 3.1.0, and the extensions
torchsparse, flash-attn and udf_ext, on an RTX 5090 (sm_120). Its user checks four things: the container starts; torch and the
extensions import; the GPU is recognised without a warning; a run goes through. Here is what `kguard scan` and `kguard run` say
of it, broken and cured, as it was printed; what is left out is said so. Made by `make documents` from the recordings.
"""
WHEELS = """## The wheels

From the package index, {date}: {versions}.
`kguard scan` needs no GPU and runs nothing. `kguard run` was recorded over the simulated RTX 5090 of the tests (driver 570.26):
PyTorch, its kernels and what it registers are the real ones, the driver and the runtime under them are tests/fake (kernels
compute nothing there); kguard was the first process of a pid name space, as a container starts it. tests/stack/record.py makes
all of it anew.
"""
GPU = """## The extensions

Recorded on one NVIDIA H200 (sm_90) by tests/gpu/stack.sh, under the PyTorch of that machine, which has code for it: PyTorch is cured,
the extensions are not. udf_ext, torchsparse and flash_attn are stand-ins: our own source under the name, version and layout of
those packages, with the way each deals with a launch that fails (udf_ext: unchecked; torchsparse: hundreds of them, unchecked;
flash_attn: a macro that ends the process). SITE and APP are directories of that machine.
"""
STATES = {
    "broken": ("Built for other GPUs",
               "sm_80 and sm_120 only, as TORCH_CUDA_ARCH_LIST=\"8.0;12.0\" gives it."),
    "half": ("The half cure: PTX",
             "sm_80 and PTX of it, as \"8.0+PTX\" gives it: it runs, after the driver has compiled it."),
    "cured": ("Rebuilt", "sm_80, sm_90 and sm_120."),
}
# What is shown of a scan: the user's packages, and of NVIDIA's libraries that one.
OWN = re.compile(r"site-packages/(torch|torchvision|xformers|triton)[/.]|libnvrtc|\.whl!|SITE/")


def block(lines):
    return "```\n" + "\n".join(line.replace("```", "'''") for line in lines) + "\n```\n"


def short_paths(line):
    return re.sub(r"(broken|cured)/lib/python3\.\d+/site-packages/", "", line)


def trimmed(scan):
    """The answer without its table, and of blocks about NVIDIA's libraries only how many there were."""
    out, skipped, keep = [], 0, True
    for line in scan:
        if re.match(r" {8,}\S", line) and "sm_" in line:  # the table
            break
        about_file = re.match(r"  (KG\d+  )?\S", line) and not line.startswith("   ")
        if about_file:
            keep = bool(OWN.search(line))
            skipped += not keep
        elif not line.startswith("  "):
            if skipped:
                out.append(f"  (left out here: {skipped} of NVIDIA's libraries)")
            keep, skipped = True, 0
        if keep:
            out.append(short_paths(line))
    if skipped:
        out.append(f"  (left out here: {skipped} of NVIDIA's libraries)")
    return out


def runs(record, command, exit_alone, exit_run, first=False):
    yield "Alone:\n"
    yield block([f"$ {command}", *map(short_paths, record["alone"]), f"(exit {exit_alone})"])
    yield "Under kguard" + (", as the first process of a container" if first else "") + ":\n"
    yield block([f"$ kguard run -- {command}", *map(short_paths, record["run"]), f"(exit {exit_run})"])


def wheels(data):
    versions = [v.replace("==", " ") for r in data["records"] for v in r["versions"]
                if not v.startswith("nvidia")]
    yield WHEELS.format(date=data["date"], versions=", ".join(dict.fromkeys(versions)))
    titles = {"broken": "Broken", "cured": "Cured"}
    for record in data["records"]:
        name = record["name"]
        yield f"### {titles.get(name, name.replace('==', ' ') + ', as the index gives it')}\n"
        place = "site-packages" if name in titles else "torch-2.7.1-*.whl"
        yield block([f"$ kguard scan {place} -t sm_120", *trimmed(record["scan"]),
                     f"(exit {record['scan_exit']})"])
        if "run" in record:
            yield from runs(record, record["command"], record["alone_exit"], record["run_exit"], True)


def gpu(records):
    yield GPU
    by_state = {r["state"]: r for r in records}
    for state, (title, how) in STATES.items():
        record = by_state[state]
        yield f"### {title}\n"
        yield how + "\n"
        yield block([f"$ kguard scan SITE/{state} --target sm_90", *trimmed(record["scan"]),
                     f"(exit {record['scan_exit']})"])
        yield from runs(record, "python3 APP/app.py", record["exit"], record["run_exit"])
    yield "## The machine, as `kguard doctor` says it\n"
    yield block(["$ kguard doctor", *by_state["doctor"]["said"], f"(exit {by_state['doctor']['exit']})"])


def main():
    with open(sys.argv[1]) as recorded, open(sys.argv[2]) as stack:
        parts = [HEAD, *wheels(json.load(recorded)), *gpu(json.load(stack))]
    print("\n".join(parts), end="")


if __name__ == "__main__":
    main()
