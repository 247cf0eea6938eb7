#!/usr/bin/env python3
"""kguard run: what comes through to the command and back, and what is said of it.

Each function test_* is one case, over the simulated driver; all must hold.
"""
import ctypes
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
KGUARD = os.path.join(OBJDIR, "kguard")
FAILS = [sys.executable, os.path.join(ROOT, "examples", "run.py")]
WORKS = FAILS + ["--works"]
CC = os.environ.get("CC", "gcc")
SAN = os.environ.get("SAN", "")

os.environ["KG_FAKE"] = os.path.join(OBJDIR, "fake")
for name in [n for n in os.environ if n.startswith("KGUARD") or n == "LD_PRELOAD"]:
    del os.environ[name]
if "address" in SAN:  # the library's own runtime must be first in every process
    runtime = subprocess.run([CC, "-print-file-name=libasan.so"], stdout=subprocess.PIPE).stdout
    os.environ["LD_PRELOAD"] = os.path.realpath(runtime.decode().strip())
    os.environ["ASAN_OPTIONS"] = "detect_leaks=0:handle_segv=0"


def run(*command, options=(), env=None, **more):
    """Runs a command under kguard run; a signal that ends kguard is a negative returncode."""
    environment = dict(os.environ, **(env or {}))
    return subprocess.run([KGUARD, "run", *options, "--", *command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", env=environment, timeout=60,
                          **more)


def summary_of(result):
    """The lines of the summary: what kguard itself said, not the library."""
    return [line for line in result.stderr.splitlines() if line.startswith("kguard: ")]


def equal(got, want):
    assert got == want, f"\n  got  {got!r}\n  want {want!r}"


def compile_c(folder, name, source, *flags, compiler=CC):
    path = os.path.join(folder, name)
    subprocess.run([compiler, "-x", "c", "-", "-o", path, *flags], input=source.encode(),
                   check=True)
    return path


# ---- what is said --------------------------------------------------------------------------------


def test_failure_is_summed_up(folder):
    result = run(*FAILS)
    library = os.path.join(ROOT, "examples", "voxelize.sm_60-90.fatbin")
    lines = summary_of(result)
    equal(result.returncode, 1)
    equal(lines[0], "kguard: ended with exit code 1; 1 CUDA call failed")
    equal(lines[1], "kguard:   first cause  kernel voxelize_kernel(float*, int) of "
          f"{library}: no code for this GPU [KG101]")
    assert lines[2].startswith("kguard:   help         rebuild voxelize.sm_60-90.fatbin"), lines
    equal(lines[3:], ["kguard: libraries that lack code:",
                      f"kguard:   {library} for 12.0: no code for this GPU [KG101]"])
    assert "error[KG101]" in result.stderr, "the library's own report is there as well"
    equal(result.stdout, "")


def test_nothing_to_say(folder):
    result = run(*WORKS)
    equal(result.returncode, 0)
    equal(result.stdout, subprocess.run(WORKS, stdout=subprocess.PIPE, encoding="utf-8").stdout)
    equal(result.stderr,
          "kguard: ended with exit code 0; no CUDA call was seen to fail for want of code\n")


def test_json(folder):
    result = run(*FAILS, options=["--format=json"])
    lines = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    equal([line["event"] for line in lines], ["module", "failure", "summary", "run"])
    equal((lines[-1]["exit"], lines[-1]["failures"]), (1, 1))
    equal(lines[-1]["first"], lines[1])
    equal(lines[-1]["command"], FAILS)
    equal([(row["code"], row["cc"]) for row in lines[-1]["libraries"]], [("KG101", "12.0")])


def test_processes_are_added_up(folder):
    both = f"{' '.join(FAILS)}; {' '.join(FAILS)}; exit 3"
    result = run("sh", "-c", both)
    equal(result.returncode, 3)
    equal(summary_of(result)[0], "kguard: ended with exit code 3; 2 CUDA calls failed")
    equal(len([line for line in summary_of(result) if " for 12.0: " in line]), 1)


def test_failures_that_were_not_reported_are_counted(folder):
    """Where a process becomes another program, what the first one only counted is lost."""
    again = "import os, run, sys\n" \
        "for i in range(3):\n" \
        "    try: run.main()\n" \
        "    except RuntimeError: pass\n"
    examples = os.path.join(ROOT, "examples")
    result = run(sys.executable, "-c", again, cwd=examples)
    equal(summary_of(result)[0], "kguard: ended with exit code 0; 3 CUDA calls failed")
    other = again.replace("range(3)", "range(2)") + "os.execv(sys.executable, ['python3', 'run.py'])"
    result = run(sys.executable, "-c", other, cwd=examples)
    equal(summary_of(result)[0], "kguard: ended with exit code 1; 2 CUDA calls failed")


def test_log_file(folder):
    """Relative: to where kguard was started, wherever the command goes."""
    result = run("sh", "-c", f"cd /; {' '.join(FAILS)}", options=["--log", "here.log"], cwd=folder)
    with open(os.path.join(folder, "here.log"), encoding="utf-8") as log:
        assert "error[KG101]" in log.read()
    assert "error[KG101]" not in result.stderr
    assert "first cause" in result.stderr


def test_target(folder):
    result = run(*WORKS, options=["-t", "7.5"])
    equal(result.returncode, 0)
    assert "for 7.5: no code for this GPU [KG101]" in result.stderr, result.stderr


def test_inner_run_leaves_the_summary_to_the_outer(folder):
    result = run(KGUARD, "run", *FAILS)
    equal([line for line in summary_of(result) if "ended with" in line],
          ["kguard: ended with exit code 1; 1 CUDA call failed"])


def test_switched_off(folder):
    result = run(*FAILS, env={"KGUARD": "0"})
    equal(summary_of(result), ["kguard: KGUARD=0 or KGUARD_LOG=off is set: nothing will be said"])


def test_no_file_stays_behind(folder):
    """Not even when a process outlives the command and fails later."""
    late = f"(sleep 0.5; exec {' '.join(FAILS)}) >/dev/null 2>&1 & exit 0"
    result = run("sh", "-c", late, env={"XDG_RUNTIME_DIR": folder})
    equal(result.returncode, 0)
    time.sleep(2)
    equal(os.listdir(folder), [])


def test_no_file_stays_behind_where_nothing_can_be_started(folder):
    def limit():
        if os.geteuid() == 0:  # who may start any number
            os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))

    mine = os.path.join(folder, "runtime")
    os.mkdir(mine)
    for path in (mine, folder):
        os.chmod(path, 0o777)
    for name in ("kguard", "libkguard.so"):
        shutil.copy(os.path.join(OBJDIR, name), folder)
    result = subprocess.run([f"{folder}/kguard", "run", "true"], preexec_fn=limit, encoding="utf-8",
                            stderr=subprocess.PIPE, env=dict(os.environ, XDG_RUNTIME_DIR=mine))
    equal((result.returncode, result.stderr, os.listdir(mine)),
          (125, "kguard: run: Resource temporarily unavailable\n", []))


# ---- what comes through to the command -----------------------------------------------------------


def test_everything_behind_the_command_is_its_own(folder):
    equal(subprocess.run([KGUARD, "run", "printf", "%s\\n", "--help", "-t", "--"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout,
          b"--help\n-t\n--\n")


def ignore(number):
    return lambda: signal.signal(number, signal.SIG_IGN)


def test_descriptors_and_masks(folder):
    def state(command):
        text = "import os, signal; " \
            "print(sorted(os.listdir('/proc/self/fd'))); " \
            "print([l for l in open('/proc/self/status') if l[:6] in ('SigBlk', 'SigIgn')])"
        return subprocess.run([*command, sys.executable, "-c", text], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, preexec_fn=ignore(signal.SIGHUP)).stdout
    equal(state([KGUARD, "run"]), state([]))


def test_preload_is_kept(folder):
    other = compile_c(folder, "other.so", "int x;", "-shared", "-fPIC")
    before = ":".join(filter(None, [os.environ.get("LD_PRELOAD"), other]))
    result = run("printenv", "LD_PRELOAD", env={"LD_PRELOAD": before})
    equal(sorted(result.stdout.strip().split(":")),
          sorted(before.split(":") + [os.path.join(OBJDIR, "libkguard.so")]))
    twice = run("printenv", "LD_PRELOAD", env={"LD_PRELOAD": result.stdout.strip()})
    equal(twice.stdout, result.stdout)


def test_settings_are_set(folder):
    result = run("env", options=["--jit", "--target=sm_90", "--format", "text",
                                 "--log=/tmp/%p.log"])
    for line in ["KGUARD_JIT=auto", "KGUARD_TARGET=sm_90", "KGUARD_LOG_FORMAT=text",
                 "KGUARD_LOG_FILE=/tmp/%p.log"]:
        assert line in result.stdout.split("\n"), line


# ---- what comes back -----------------------------------------------------------------------------


def test_exit_codes(folder):
    for code in (0, 1, 2, 77, 255):
        equal(run("sh", "-c", f"exit {code}").returncode, code)
    equal(run("no-such-command").returncode, 127)
    equal(run("./nor-this-one").returncode, 127)
    equal(run("/etc/passwd").returncode, 126)
    equal(run(folder).returncode, 126)
    for log in ("/no/where/log", folder):
        equal(run("true", options=[f"--log={log}"]).returncode, 2)
    with open("/dev/full", "w") as full:
        equal(subprocess.run([KGUARD, "--help"], stdout=full, stderr=subprocess.PIPE).returncode, 4)
    equal(run().returncode, 2)
    equal(run("true", options=["--target=sm_x"]).returncode, 2)
    equal(run("true", options=["--library=/no/lib.so"]).returncode, 125)


def test_library_that_cannot_be_preloaded(folder):
    place = os.path.join(folder, "a b")
    os.mkdir(place)
    shutil.copy(os.path.join(OBJDIR, "libkguard.so"), place)
    result = run("true", options=["--library", os.path.join(place, "libkguard.so")])
    equal(result.returncode, 125)
    assert "cannot be preloaded" in result.stderr


def test_script_without_a_first_line(folder):
    script = os.path.join(folder, "script")
    with open(script, "w", encoding="utf-8") as file:
        file.write("echo it ran; exit 4\n")
    os.chmod(script, 0o755)
    result = run(script)
    equal((result.returncode, result.stdout), (4, "it ran\n"))


def test_signal_that_ends_the_command(folder):
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE):
        result = run("sh", "-c", f"kill -{number.value} $$")
        equal(result.returncode, -number)
        assert f"ended with signal {number.value} (" in result.stderr


def test_first_cause_after_a_signal(folder):
    """The library says nothing more then; who waits for the process does."""
    again = "import os, run\n" \
        "for i in range(3):\n" \
        "    try: run.main()\n" \
        "    except RuntimeError: pass\n" \
        "os.abort()"
    result = run(sys.executable, "-c", again, cwd=os.path.join(ROOT, "examples"))
    lines = summary_of(result)
    equal(lines[0], "kguard: ended with signal 6 (Aborted); at least 1 CUDA call failed")
    assert lines[1].startswith("kguard:   first cause  kernel voxelize_kernel(float*, int) of /"), lines
    assert lines[2].startswith("kguard:   help         rebuild "), lines
    assert not [line for line in result.stderr.splitlines() if "]: warn" in line and "first cause" in line]


def test_first_process_of_a_container(folder):
    """It ends as the command does, whatever that leaves behind."""
    inside = ["unshare", "-Urpf", "--mount-proc"]
    if subprocess.run([*inside, "true"], stderr=subprocess.DEVNULL).returncode:
        return  # no name spaces for us here
    for command, code in ((FAILS, 1), (WORKS, 0), (["sh", "-c", "(sleep 0.2; exit 7) & exit 5"], 5),
                          (["sh", "-c", "kill -9 $$"], 128 + 9)):
        result = subprocess.run([*inside, KGUARD, "run", "--", *command], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
        equal(result.returncode, code)
        equal("first cause" in result.stderr, command is FAILS)


def test_exit_code_without_stderr(folder):
    command = [KGUARD, "run", "sh", "-c", "exit 5"]
    equal(subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *command]).returncode, 5)
    read, write = os.pipe()
    os.close(read)
    equal(subprocess.run(command, stderr=write).returncode, 5)
    os.close(write)


def test_sigchld_ignored(folder):
    equal(subprocess.run([KGUARD, "run", "sh", "-c", "exit 6"], stderr=subprocess.DEVNULL,
                         preexec_fn=ignore(signal.SIGCHLD)).returncode, 6)


# ---- signals -------------------------------------------------------------------------------------

COUNTER = """
import os, signal, sys, time
count = 0
def note(number, frame):
    global count
    count += 1
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), note)
print("ready", flush=True)
end = time.time() + 20
while not count and time.time() < end:
    time.sleep(0.05)
time.sleep(0.3)
print("count", count, flush=True)
sys.exit(40 + count)
"""


def test_signals_sent_to_kguard_reach_the_command(folder):
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"):
        process = subprocess.Popen([KGUARD, "run", sys.executable, "-c", COUNTER, name],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()
        process.send_signal(getattr(signal, name))
        out, _ = process.communicate(timeout=30)
        equal((name, process.returncode, out), (name, 41, b"count 1\n"))


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


def wait_for(condition):
    end = time.time() + 20
    while not condition():
        assert time.time() < end, "waited in vain"
        time.sleep(0.05)


def in_terminal(*command):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(KGUARD, [KGUARD, "run", *command])
    return pid, terminal


def read_until(terminal, text):
    got = b""
    while text not in got:
        got += os.read(terminal, 4096)
    return got


def test_interrupt_key_comes_once(folder):
    pid, terminal = in_terminal(sys.executable, "-c", COUNTER, "SIGINT")
    read_until(terminal, b"ready")
    os.write(terminal, b"\x03")
    assert b"count 1" in read_until(terminal, b"exit code 41")
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 41)


def test_terminal_that_goes_away(folder):
    """Its session's leader alone is told; without kguard that is the command."""
    said = os.path.join(folder, "said")
    pid, terminal = in_terminal("sh", "-c", 'exec "$@" >"$0"', said, sys.executable, "-c", COUNTER,
                                "SIGHUP")
    wait_for(lambda: os.path.exists(said) and os.path.getsize(said))
    os.close(terminal)
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 41)
    with open(said, encoding="utf-8") as text:
        equal(text.read(), "ready\ncount 1\n")


def test_job_control(folder):
    """A command that stops itself for its shell stops kguard too; both go on together."""
    text = "import os, signal; os.kill(0 if {all} else os.getpid(), signal.SIGTSTP); " \
        "print('on', flush=True)"
    for everybody in (True, False):
        # A shell between, which is the process group's parent: else the stop has no effect.
        shell = ("import os, subprocess, sys\n"
                 "p = subprocess.Popen(sys.argv[1:], preexec_fn=os.setpgrp, stdout=-1)\n"
                 "pid, status = os.waitpid(p.pid, os.WUNTRACED)\n"
                 "print('stopped', os.WIFSTOPPED(status), flush=True)\n"
                 "os.killpg(p.pid, 18)\n"
                 "print('went', p.stdout.readline(), os.waitpid(p.pid, 0)[1])\n")
        result = subprocess.run([sys.executable, "-c", shell, KGUARD, "run", sys.executable, "-c",
                                 text.format(all=everybody)], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, timeout=30)
        equal(result.stdout, b"stopped True\nwent b'on\\n' 0\n")


def test_command_stopped_by_somebody_does_not_stop_kguard(folder):
    process = subprocess.Popen([KGUARD, "run", sys.executable, "-c", COUNTER, "SIGUSR1"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="utf-8") as children:
        child = int(children.read())
    os.kill(child, signal.SIGSTOP)
    wait_for(lambda: state_of(child) == "T")
    assert state_of(process.pid) != "T"
    os.kill(child, signal.SIGCONT)
    os.kill(child, signal.SIGUSR1)
    process.communicate(timeout=30)
    equal(process.returncode, 41)


# ---- programs that a preloaded library does not see ----------------------------------------------


def not_observed(program, why, code=0):
    result = run(program)
    equal(result.returncode, code)
    assert result.stderr.startswith(f"kguard: {program} {why}"), result.stderr
    assert "it cannot be observed" in result.stderr
    assert "; not observed\n" in result.stderr


def test_static(folder):
    not_observed(compile_c(folder, "static", "int main(void) { return 3; }", "-static"),
                 "is statically linked", 3)


def test_musl(folder):
    if SAN:
        return  # its loader cannot take the sanitizer's runtime
    not_observed(compile_c(folder, "musl", "int main(void) { return 3; }", compiler="musl-gcc"),
                 "uses musl", 3)


def test_set_id(folder):
    if os.getuid() != 0:
        return
    copy = shutil.copy("/bin/true", folder)
    os.chmod(folder, 0o755)
    for owner, group, mode in ((65534, 0, 0o4755), (0, 65534, 0o2755)):
        os.chown(copy, owner, group)
        os.chmod(copy, mode)
        not_observed(copy, "runs with more rights than its caller")
    os.chown(copy, 0, 0)
    os.chmod(copy, 0o4755)  # nothing that root has not
    assert "observed" not in run(copy).stderr
    # Where no rights can be gained, none are.
    os.chown(copy, 65534, 0)
    os.chmod(copy, 0o4755)
    result = run(copy, preexec_fn=lambda: ctypes.CDLL(None).prctl(38, 1, 0, 0, 0))
    assert "observed" not in result.stderr, result.stderr


def test_interpreter_of_a_script(folder):
    static = compile_c(folder, "static", "int main(void) { return 3; }", "-static")
    script = os.path.join(folder, "script")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#! {static} -x\n")
    os.chmod(script, 0o755)
    result = run(script)
    equal(result.returncode, 3)
    assert result.stderr.startswith(f"kguard: {static} is statically linked"), result.stderr


def test_address_sanitizer(folder):
    """gcc's runtime ends the program unless it is the first library of all."""
    program = compile_c(folder, "asan", "#include <stdio.h>\n#include <stdlib.h>\n"
                        "int main(void) { puts(getenv(\"LD_PRELOAD\")); return 0; }",
                        "-fsanitize=address")
    result = run(program)
    equal((result.returncode, result.stderr.count("ASan")), (0, 0))
    assert re.match(r"(\S*/)?libasan\.so", result.stdout), result.stdout
    assert "libkguard.so" in result.stdout


# ---- all of it -----------------------------------------------------------------------------------


def main():
    if "thread" in SAN:
        print("TSan's runtime would have to be the first library of every program")
        return 77
    failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(folder)
                print(f"ok {name}")
            except (AssertionError, subprocess.SubprocessError, OSError) as error:
                print(f"FAIL {name}: {error}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
