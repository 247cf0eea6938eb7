#!/usr/bin/env python3
"""The man pages and bash's completion: well-formed, and of the options, settings and codes that the
command itself tells of; and that README, docs and examples name no others."""
import glob
import os
import re
import shutil
import subprocess
import sys

from common import OBJDIR, ROOT, equal

KGUARD = os.path.join(OBJDIR, "kguard")
PAGES = [os.path.join(OBJDIR, "packaging", name) for name in ("kguard.1", "libkguard.7", "kguard-cache.5")]
COMPLETION = os.path.join(OBJDIR, "packaging", "kguard.bash")


def run(*command, code=0, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          timeout=60, **more)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done.stdout


def dense(text):
    """Without what filling lines changes."""
    return re.sub(r"\s+", "", text)


def shown(page):
    """What a reader sees, without bold and underline."""
    return re.sub(".\b", "", run("mandoc", "-T", "ascii", page))


COMMANDS = re.findall(r"^  (\w+)  ", run(KGUARD, "--help"), re.M)
HELP = {name: run(KGUARD, name, "--help") for name in COMMANDS}
FLAGS = {name: set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", text, re.M)) for name, text in HELP.items()}
SETTINGS = re.findall(r"^  (KGUARD\w*) ", run(KGUARD, "doctor", env={"HOME": "/"}, code=None), re.M)


def test_lint():
    for page in PAGES:
        equal(run("mandoc", "-T", "lint", "-W", "warning", page), "")
        assert "@" not in shown(page), page


def test_command_page():
    """Every line that --help shows."""
    page = dense(shown(PAGES[0]))
    assert len(COMMANDS) > 5, COMMANDS
    for name in COMMANDS:
        head, *options = re.split(r"\n(?=  +-)", HELP[name])
        usage, rest = head.split("\n", 1)
        for text in [usage.replace("usage: ", ""), rest, *options]:
            if not text.startswith("  -h, --help"):
                assert all(dense(part) in page for part in text.split("\n\n")), (name, text)
        # The last option of each, -h, has what stands under the options behind it.
        assert dense(options[-1].split("\n", 1)[-1].strip("\n") if "\n" in options[-1] else "") in page


def test_library_page():
    page = shown(PAGES[1])
    assert len(SETTINGS) > 10, SETTINGS
    equal(re.findall(r"^ +(KGUARD\w*)=", page, re.M), SETTINGS)
    codes = re.findall(r"^ +(KG\d+) ", page, re.M)
    assert "KG101" in codes and "KG204" in codes, codes
    for code in codes:
        title, text = run(KGUARD, "explain", code).split("\n\n")[:2]
        assert dense(title.split(": ", 1)[1] + text) in dense(page), code


def test_documents():
    """What is named by hand is there: README's settings are all of them, and nowhere is there a setting, an
    option, a file or a goal of make that is none."""
    readme = os.path.join(ROOT, "README.md")
    files = [readme, *(os.path.join(ROOT, n) for n in ("SECURITY.md", "CHANGELOG.md"))]
    for folder in "docs", "examples":
        files += glob.glob(os.path.join(ROOT, folder, "**", "*"), recursive=True)
    goals, seen = set(), 0
    for file in glob.glob(os.path.join(ROOT, "**", "*.mk"), recursive=True) + [os.path.join(ROOT, "Makefile")]:
        with open(file, encoding="utf-8") as opened:
            goals.update(" ".join(re.findall(r"^\.PHONY: (.*)", opened.read().replace("\\\n", ""), re.M)).split())
    for file in files:
        try:
            with open(file, encoding="utf-8") as opened:
                text = opened.read()
        except (UnicodeDecodeError, IsADirectoryError):
            continue
        for name in re.findall(r"\bKGUARD(?:_[A-Z]+)+\b", text):
            assert name in SETTINGS, (file, name)
        for command, rest in re.findall(r"\bkguard (\w+)((?:(?! -- )[^`|\n])*)", text):
            for flag in re.findall(r"(?<=\s)--[a-z][\w-]*", rest) if command in FLAGS else ():
                seen += 1
                assert flag in FLAGS[command], (file, command, flag)
        if file.endswith(".md"):
            for path in re.findall(r"\]\((?!http|#)([^)#]+)\)", text):
                assert os.path.exists(os.path.join(os.path.dirname(file), path)), (file, path)
            for path in re.findall(r"`((?:shim|tests|include|examples|docs|packaging|\.ci)/[\w./-]+)`", text):
                assert "NN" in path or os.path.exists(os.path.join(ROOT, path)), (file, path)
            for goal in re.findall(r"(?:^|[`&] ?)make ([a-z][a-z-]+)", text, re.M):
                assert goal in goals, (file, goal)
    assert seen > 5
    with open(readme, encoding="utf-8") as opened:
        equal(sorted(re.findall(r"^\| `(KGUARD\w*)` \|", opened.read(), re.M)), sorted(SETTINGS))


ASK = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_kguard
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(*words):
    return run("bash", "-c", ASK, "bash", COMPLETION, "kguard", *words).split()


def test_completion():
    equal(completed("s"), ["scan"])
    equal(set(completed("")), {*COMMANDS, "--help", "--version"})
    for name in COMMANDS:
        equal(set(completed(name, "-")), FLAGS[name])
    equal(completed("scan", "--format", "j"), ["json", "jsonl"])
    equal(completed("scan", "-f", "sar"), ["sarif"])
    equal(completed("scan", "--format", "="), ["text", "json", "jsonl", "tsv", "sarif"])
    equal(completed("scan", "--format", "=", "t"), ["text", "tsv"])
    equal(completed("scan", "--color", "=", "n"), ["never"])
    equal(completed("scan", "--color", ""), [])  # a path: readline's own
    equal(completed("scan", "-t", "sm_12"), ["sm_120", "sm_121"])
    equal(completed("scan", "--target", "=", "sm_90,sm_12"), ["sm_90,sm_120", "sm_90,sm_121"])
    equal(completed("scan", "--output", ""), [])
    assert str(os.getpid()) in completed("scan", "--pid", str(os.getpid())[:-1])
    equal(completed("cache", "st"), ["stats"])
    equal(completed("cache", "export", ""), [])
    equal(completed("explain", "KG10")[0], "KG101")
    equal(completed("doctor", ""), [])
    # A command is completed, and what is behind it left to its own completion.
    assert "make" in completed("run", "mak")
    assert "make" in completed("run", "--jit", "-t", "sm_90", "--log", "=", "f", "mak")
    assert "make" in completed("run", "--", "mak")
    equal(completed("run", "-t", "sm_12"), ["sm_120", "sm_121"])
    equal(completed("run", "make", "--"), [])
    equal(completed("run", "-t", "sm_90", "make", "--"), [])
    equal(completed("nonsense", ""), [])


if not shutil.which("mandoc"):
    print("no mandoc")
    sys.exit(77)
for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print("ok", name)
