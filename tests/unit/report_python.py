"""Run by report_python under each interpreter: the stack that the library reads from outside must be
the one Python itself tells.   report_python.py LIBRARY"""
import ctypes
import os
import sys
import threading
import traceback

library = sys.argv[1]
holding = ctypes.PyDLL(library)  # calls with the GIL held, as extension modules do
free = ctypes.CDLL(library)  # calls without
failures = []


def short(path):
    return "/".join(path.split("/")[-2:])


def told(stack):
    return " > ".join(
        "%s:%d in %s" % (short(f.filename), f.lineno, f.name) for f in stack[-6:])


def check(dll, what):
    out = ctypes.create_string_buffer(4096)
    found = dll.where(out, len(out)); stack = traceback.extract_stack()  # one line: same number
    got, want = out.value.decode(), told(stack)
    if not found or got != want:
        failures.append("%s:\n  got  %s\n  want %s" % (what, got, want))


def deep(level, dll):
    if level:
        return deep(level - 1, dll)
    check(dll, "deep")


def undying(dll):
    check(dll, "code that is never freed")


def main():
    # Frames of 3.14 refer to such code by its address plus one, as free-threaded ones do to any code.
    if sys.version_info >= (3, 14) and sys._is_gil_enabled():
        ctypes.c_uint32.from_address(id(undying.__code__)).value = 3 << 30
        ctypes.c_uint16.from_address(id(undying.__code__) + 6).value |= 1
    fds = sorted(os.listdir("/proc/self/fd"))
    for dll in holding, free:
        check(dll, "main thread")
        deep(40, dll)
        undying(dll)
        thread = threading.Thread(target=check, args=(dll, "other thread"))
        thread.start()
        thread.join()
        (lambda: check(dll, "lambda"))()
        exec(compile("check(dll, 'odd name')", '/x/a", line 7 in b/\u00e9\u4e16.py', "exec"),
             {"check": check, "dll": dll})
    if free.where_elsewhere() != 0:
        failures.append("a thread that Python does not know has a Python stack")
    if sorted(os.listdir("/proc/self/fd")) != fds:
        failures.append("a descriptor stayed open")
    for line in failures:
        print(line)
    return bool(failures)


sys.exit(main())
