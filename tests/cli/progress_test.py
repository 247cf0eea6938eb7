#!/usr/bin/env python3
"""The progress bar of kguard scan on a terminal: one for all paths. strace holds a read up in each path for
longer than the second before which no bar is drawn."""
import os
import pty
import re
import shutil
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
KGUARD = os.path.join(os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build"))), "kguard")
SIZE = 20_000_000


def terminal(command):
    """What it writes to a terminal, and its exit status."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # what a terminal says at its end
            break
        said += piece
    return said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if not shutil.which("strace"):
    print("strace is not installed")
    sys.exit(77)
with tempfile.TemporaryDirectory() as folder:
    paths = [os.path.join(folder, name) for name in ("a", "b")]
    for path in paths:
        with open(path, "wb") as file:
            file.truncate(SIZE)
    hold = ["strace", "-qq", "-o", os.path.join(folder, "log"), "-e", "trace=read",
            "-e", "inject=read:delay_exit=1100000:when=40+80"]
    said, status = terminal(hold + [KGUARD, "scan", "--target=sm_90", *paths])
    bars = [(float(a), float(b)) for a, b in re.findall(r"\] ([\d.]+) of ([\d.]+) MB, \d+ MB/s, \d+ s left",
                                                        said)]
    if status != 0 or not bars:
        sys.exit("no bar, or status %d:\n%s" % (status, said))
    if {total for _, total in bars} != {2 * SIZE / 1e6}:
        sys.exit("not one total for all paths: %s" % bars)
    if bars != sorted(bars) or not bars[0][0] < SIZE / 1e6 < bars[-1][0]:
        sys.exit("not a bar that goes through both: %s" % bars)
    if not re.search(r"MB/s, \d+ s left\x1b\[K\r\x1b\[K", said):
        sys.exit("the bar is not taken away:\n%r" % said)
