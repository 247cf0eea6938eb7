"""What the tests of packages, pages and examples share."""
import os
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
CC = os.environ.get("CC", "gcc")
# As a user has it: neither kguard's settings nor those of the make that runs the tests.
CLEAN = {k: v for k, v in os.environ.items()
         if not k.startswith(("KGUARD", "LD_")) and k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "XDG_CACHE_HOME")}


def equal(got, want, more=""):
    assert got == want, f"\n  got  {got!r}\n  want {want!r}\n{more}"


def run(*command, code=0, env=None, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          timeout=60, env=dict(CLEAN, **(env or {})), **more)
    equal(done.returncode, code, done.stdout + done.stderr)
    return done
