#!/usr/bin/env python3
"""Sequences of driver calls (calls.c), each without the library, with it and an empty cache, with the cache that this
left, and with caches in other states; loading lazily and eagerly. All traces must be alike.

    tests/fuzz/calls.py                     the first seeds; part of make check
    tests/fuzz/calls.py SECONDS [SEED]      from that seed on, or from one of the time of day

At a difference: the fewest steps in which it shows, both traces, how to run it again; exit code 1.
"""
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

OBJDIR = os.environ.get('OBJDIR', 'build')
PROGRAM = OBJDIR + '/fuzz/calls'
LIMIT = 20  # seconds that a run may take
FEW = 16    # seeds, in which half of the faults show that were put in by hand (results.md)
# A sanitized library needs its runtime before it.
SANITIZER = ''
if 'address' in os.environ.get('SAN', ''):
    SANITIZER = subprocess.check_output(['gcc', '-print-file-name=libasan.so'], text=True).strip()


def damage(cache, chance):
    for folder, _, files in os.walk(cache):
        for name in files:
            path = os.path.join(folder, name)
            size = os.path.getsize(path)
            how = chance.randrange(4)
            if how == 0:
                os.truncate(path, chance.randrange(size + 1))
            elif how == 1 and size:
                with open(path, 'r+b') as file:
                    file.seek(chance.randrange(size))
                    file.write(chance.randbytes(chance.randrange(1, 9)))
            elif how == 2:
                os.remove(path)


# What becomes of the cache of the run before, and the variables of this one; CACHE is its directory.
STATES = {
    'empty': {'KGUARD_CACHE_DIR': 'CACHE'},
    'kept': {'KGUARD_CACHE_DIR': 'CACHE'},
    'read-only': {'KGUARD_CACHE_RO': 'CACHE'},
    'read-only below': {'KGUARD_CACHE_RO': 'CACHE', 'KGUARD_CACHE_DIR': 'CACHE/above'},
    'damaged': {'KGUARD_CACHE_DIR': 'CACHE'},
    'tiny': {'KGUARD_CACHE_DIR': 'CACHE', 'KGUARD_CACHE_MAX_SIZE': '40000'},
    'disturbed': {'KGUARD_CACHE_DIR': 'CACHE', 'CALLS_CACHE': 'CACHE'},
    'nowhere': {},
}


class Sequence:
    """What a seed means, but for its steps, which are calls.c's."""

    def __init__(self, seed):
        self.seed = seed
        chance = random.Random(seed)
        self.length = chance.randrange(30, 121)
        driver = chance.choice(['fake', 'fake/580', 'fake/580', 'fake/535'])
        self.variables = {
            'LD_LIBRARY_PATH': f'{OBJDIR}/{driver}:{OBJDIR}/scenarios',
            'KGFAKE_MARKS': '1',
            'KGFAKE_FRESH': chance.choice('01'),
            'KGFAKE_DEVICES': chance.choice('11112'),
            'KGFAKE_LINK_MS': chance.choice('0001'),
            'ASAN_OPTIONS': 'detect_leaks=0:abort_on_error=1',
        }
        self.log = chance.choice(['off', 'warn', 'info', 'debug'])
        self.states = ['empty', 'kept'] + chance.sample(sorted(set(STATES) - {'empty', 'kept'}), 2)

    def run(self, steps, loading, state=None, cache=''):
        """The trace and how it ended."""
        variables = dict(self.variables, CUDA_MODULE_LOADING=loading, LD_PRELOAD=SANITIZER)
        if state:
            if state == 'empty':
                shutil.rmtree(cache, ignore_errors=True)
            if state == 'damaged':
                damage(cache, random.Random(self.seed))
            os.makedirs(cache, 0o700, exist_ok=True)
            variables.update(LD_PRELOAD=f'{SANITIZER} {OBJDIR}/libkguard.so', KGUARD_JIT='auto', KGUARD_LOG=self.log)
            variables.update((k, v.replace('CACHE', cache)) for k, v in STATES[state].items())
        words = [PROGRAM, str(self.seed), str(0 if steps is not None else self.length), *map(str, steps or [])]
        if os.environ.get('CALLS_SHOW'):
            print(*(f"'{k}={v}'" for k, v in variables.items()), *words)
        try:
            done = subprocess.run(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired as late:
            return ((late.stdout or b'').decode() + 'does not end').split('\n')
        return (done.stdout.decode() + f'exit {done.returncode}').split('\n')

    def difference(self, steps, loading, until=None):
        """The first state in which the trace differs, with both, or None."""
        with tempfile.TemporaryDirectory() as work:
            plain = self.run(steps, loading)
            for state in self.states:
                trace = self.run(steps, loading, state, work + '/cache')
                if trace != plain:
                    return state, plain, trace
                if state == until:
                    break
        return None

    def shortest(self, loading, found):
        """Steps without which it does not differ, in this state or an earlier one."""
        state, plain, trace = found
        same = next((i for i, (a, b) in enumerate(zip(plain, trace)) if a != b), min(len(plain), len(trace)))
        steps = list(range(min(same, self.length)))
        part = len(steps)
        found = self.difference(steps, loading, state) or found
        while part:
            at = 0
            while at < len(steps):
                fewer = steps[:at] + steps[at + part:]
                less = self.difference(fewer, loading, state)
                if less:
                    steps, found = fewer, less
                else:
                    at += part
            part //= 2
        return steps, found


def tell(sequence, loading, found):
    steps, (state, plain, trace) = sequence.shortest(loading, found)
    print(f'seed {sequence.seed}, {loading}, cache {state}: the library changes what the program sees')
    for a, b in zip(plain, trace):
        print(' ', a if a == b else f'- {a}\n  + {b}')
    print('again: make fuzz-calls FUZZ_TIME=0', f'SEED={sequence.seed}')
    print('its steps alone:', *steps)


def main():
    start = time.monotonic()
    first, last, end = 1, FEW, float('inf')
    if len(sys.argv) > 1:
        first = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() // 1000 % 10**9
        last, end = float('inf'), start + float(sys.argv[1])
    for seed in itertools.count(first):
        sequence = Sequence(seed)
        for loading in 'LAZY', 'EAGER':
            found = sequence.difference(None, loading)
            if found:
                tell(sequence, loading, found)
                print(f'after {time.monotonic() - start:.0f} s')
                return 1
        if seed == last or time.monotonic() > end:
            break
    print(f'seeds {first} to {seed}, in {time.monotonic() - start:.0f} s: no difference')
    return 0


sys.exit(main())
