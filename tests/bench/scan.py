#!/usr/bin/env python3
"""What kguard scan costs beside cat and cuobjdump.   tests/bench/scan.py KGUARD [PATH...]

Warm page cache, in turns, the best of several runs of each; folders are measured against cat of all their
files. CUOBJDUMP names NVIDIA's tool (else the one on PATH; without one those figures are left out). Exit 1
where a limit is missed. CPU seconds say more than wall time on a machine that does something else too.
"""
import os
import shutil
import sys
import time

KGUARD = sys.argv[1]
CUOBJDUMP = os.environ.get('CUOBJDUMP') or shutil.which('cuobjdump')
LIBRARIES = ['/usr/local/cuda/lib64/libcublasLt.so.13']


def run(*command):
    """Wall seconds, CPU seconds, peak MB."""
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        null = os.open('/dev/null', os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execvp(command[0], command)
    usage = os.wait4(pid, 0)[2]
    return (time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def best(commands, rounds):
    """The best of each, taken in turns."""
    runs = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(run(*command))
    return {name: (min(r[0] for r in rs), min(r[1] for r in rs), max(r[2] for r in rs))
            for name, rs in runs.items()}


missed = 0


def limit(text, value, most):
    global missed
    good = value <= most
    missed += not good
    print(f'    {text}: {value:.2f} (at most {most:g}) {"" if good else "MISSED"}')


def show(results):
    for name, (wall, cpu, memory) in results.items():
        print(f'    {name:26} {wall:8.3f} s  {cpu:8.3f} s CPU  {memory:7.1f} MB')


def one_file(path):
    scan = [KGUARD, 'scan', '--quiet', '--target=sm_90', '--fail-on=never', path]
    results = best({'cat': ['cat', path], 'kguard scan': scan}, 9)
    kernels = best({'kguard scan --kernels': scan + ['--kernels', '--format=tsv']}, 3)
    if CUOBJDUMP:
        results |= best({'cuobjdump -lelf -lptx': [CUOBJDUMP, '-lelf', '-lptx', path]}, 3)
        kernels |= best({'cuobjdump -all -res-usage': [CUOBJDUMP, '-all', '-res-usage', path]}, 2)
    print(f'{os.path.basename(path)}, {os.path.getsize(path) / 1e6:.0f} MB')
    show(results | kernels)
    limit('listing : cat', results['kguard scan'][0] / results['cat'][0], 2)
    limit('MB, listing', results['kguard scan'][2], 64)
    limit('MB, kernels', kernels['kguard scan --kernels'][2], 512)
    if CUOBJDUMP:
        limit('listing : cuobjdump', results['kguard scan'][0] / results['cuobjdump -lelf -lptx'][0], 1 / 20)
        limit('kernels : cuobjdump',
              kernels['kguard scan --kernels'][0] / kernels['cuobjdump -all -res-usage'][0], 1 / 10)


def folder(path):
    find = ['find', path, '-type', 'f', '-exec', 'cat', '{}', '+']
    scan = [KGUARD, 'scan', '--quiet', '--target=sm_90', '--fail-on=never', path]
    results = best({'cat of all files': find, 'kguard scan': scan}, 5)
    print(f'{path}')
    show(results)
    limit('listing : cat', results['kguard scan'][0] / results['cat of all files'][0], 2)
    limit('MB, listing', results['kguard scan'][2], 64)


def cores(path):
    """--kernels by 1, 2, 4 ... cores."""
    have = sorted(os.sched_getaffinity(0))
    print(f'{os.path.basename(path)}: --kernels by cores')
    n, scan = 1, [KGUARD, 'scan', '--quiet', '--kernels', '--format=tsv', '--fail-on=never', path]
    while n <= len(have):
        wall, cpu, memory = best({'': ['taskset', '-c', ','.join(map(str, have[:n]))] + scan}, 3)['']
        print(f'    {n:3} {wall:8.3f} s  {cpu:8.3f} s CPU  {memory:7.1f} MB')
        n *= 2


paths = sys.argv[2:] or [p for p in LIBRARIES if os.path.exists(p)]
if not paths:
    print('no library to measure: name one')
    sys.exit(77)
print(f'{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}')
for p in paths:
    if os.path.isdir(p):
        folder(p)
    else:
        one_file(p)
        cores(p)
print(f'{missed} limits missed')
sys.exit(missed > 0)
