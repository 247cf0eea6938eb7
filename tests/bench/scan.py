#!/usr/bin/env python3
"""What kguard scan costs beside cat and cuobjdump.   tests/bench/scan.py KGUARD [PATH...]

Warm page cache, in turns, the best of several runs of each (of what takes more than 4 seconds: one run);
folders are measured against cat of all their files. CUOBJDUMP names NVIDIA's tool (else the one on PATH;
without one those figures are left out). Exit 1 where a limit is missed. CPU seconds say more than wall
time on a machine that does something else too.

cuobjdump's listing of the same as --kernels is -all -res-usage -ptx: the kernels of each cubin with their
registers, and PTX texts, which it can only print whole, for theirs. -res-usage alone leaves them out; it
is shown beside it. Both sides write all they have to say to /dev/null.
"""
import os
import shutil
import sys
import time

KGUARD = sys.argv[1]
CUOBJDUMP = os.environ.get('CUOBJDUMP') or shutil.which('cuobjdump')
LIBRARIES = ['/usr/local/cuda/lib64/libcublasLt.so.13']
SCAN = [KGUARD, 'scan', '--target=sm_90', '--fail-on=never', '--color=never']
CORES = sorted(os.sched_getaffinity(0))
LONG = 4


def run(command, cores):
    """Wall seconds, CPU seconds, peak MB."""
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        null = os.open('/dev/null', os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.sched_setaffinity(0, cores)
        os.execvp(command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f'{" ".join(command)}: status {status:#x}')
    return (time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def best(commands, rounds, cores=CORES):
    """The best of each, taken in turns, on these cores."""
    runs = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            if not runs[name] or runs[name][-1][0] < LONG:
                runs[name].append(run(command, cores))
    return {name: (min(r[0] for r in rs), min(r[1] for r in rs), max(r[2] for r in rs))
            for name, rs in runs.items()}


missed = 0


def limit(text, value, most):
    global missed
    good = value <= most
    missed += not good
    print(f'    {text}: {value:.2f} (at most {most:g}) {"" if good else "MISSED"}')


def faster(text, value, least):
    global missed
    good = value >= least
    missed += not good
    print(f'    {text}: {value:.1f} times as fast (at least {least:g}) {"" if good else "MISSED"}')


def show(name, result):
    print(f'    {name:32} {result[0]:8.3f} s  {result[1]:8.3f} s CPU  {result[2]:7.1f} MB', flush=True)


def listing(path):
    results = best({'cat': ['cat', path], 'kguard scan': SCAN + ['--quiet', path]}, 9)
    if CUOBJDUMP:
        results |= best({'cuobjdump -lelf -lptx': [CUOBJDUMP, '-lelf', '-lptx', path]}, 3)
    for name, result in results.items():
        show(name, result)
    limit('listing : cat', results['kguard scan'][0] / results['cat'][0], 2)
    limit('MB, listing', results['kguard scan'][2], 64)
    if CUOBJDUMP:
        faster('listing', results['cuobjdump -lelf -lptx'][0] / results['kguard scan'][0], 20)


def kernels(path):
    """--kernels by 1, 2, 4 ... cores."""
    scan = SCAN + ['--kernels', path]
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < len(CORES)] + [len(CORES)]
    theirs = {'cuobjdump ' + o: [CUOBJDUMP] + o.split() + [path]
              for o in ('-all -res-usage', '-all -res-usage -ptx')} if CUOBJDUMP else {}
    slow = best(theirs, 2)
    for name, result in slow.items():
        show(name, result)
    for n in counts:
        fast = best({n: scan}, 5, CORES[:n])[n]
        show(f'kguard scan --kernels, {n} cores', fast)
        if slow:
            print('        times as fast: ' + ', '.join(f'{r[0] / fast[0]:.1f}' for r in slow.values()))
    limit('MB, kernels', fast[2], 512)
    if slow:
        faster(f'kernels, {len(CORES)} cores', slow['cuobjdump -all -res-usage -ptx'][0] / fast[0], 10)


def folder(path):
    find = ['find', path, '-type', 'f', '-exec', 'cat', '{}', '+']
    results = best({'cat of all files': find, 'kguard scan': SCAN + ['--quiet', path]}, 5)
    print(f'{path}')
    for name, result in results.items():
        show(name, result)
    limit('listing : cat', results['kguard scan'][0] / results['cat of all files'][0], 2)
    limit('MB, listing', results['kguard scan'][2], 64)


paths = sys.argv[2:] or [p for p in LIBRARIES if os.path.exists(p)]
if not paths:
    print('no library to measure: name one')
    sys.exit(77)
print(f'{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}')
for p in paths:
    if os.path.isdir(p):
        folder(p)
    else:
        print(f'{os.path.basename(p)}, {os.path.getsize(p) / 1e6:.0f} MB')
        listing(p)
        kernels(p)
print(f'{missed} limits missed')
sys.exit(missed > 0)
