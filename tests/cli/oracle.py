#!/usr/bin/env python3
"""Compares kguard scan with NVIDIA's cuobjdump, code by code.   tests/cli/oracle.py KGUARD CUOBJDUMP FILE...

Per file: the list of (kind, target, version, kernel names), in which every code counts. cuobjdump reads
the sections .nv_fatbin and __nv_relfatbin alone; what kguard finds elsewhere is counted apart. Exit 1 on a
difference in what both read.
"""
import collections
import json
import os
import re
import struct
import subprocess
import sys


def sections(path):
    """The file ranges of the sections that cuobjdump reads."""
    with open(path, 'rb') as f:
        head = f.read(64)
        if head[:4] != b'\177ELF':
            return None
        shoff, = struct.unpack_from('<Q', head, 40)
        entsize, count, names = struct.unpack_from('<HHH', head, 58)
        f.seek(shoff)
        rows = [struct.unpack('<IIQQQQIIQQ', f.read(64)) for _ in range(count)]
        f.seek(rows[names][4])
        strings = f.read(rows[names][5])
    name = lambda i: strings[i:strings.index(b'\0', i)].decode()
    return [(r[4], r[4] + r[5]) for r in rows if name(r[0]) in ('.nv_fatbin', '__nv_relfatbin')]


def ours(kguard, path):
    out = subprocess.run([kguard, 'scan', '--kernels', '--why', '--format=json', '--fail-on=never', path],
                         stdout=subprocess.PIPE)
    inside, outside = collections.Counter(), 0
    ranges = sections(path)
    for image in json.loads(out.stdout)['files'][0]['evidence']:
        for code in image['codes']:
            if ranges is not None and not any(a <= image['place'] < b for a, b in ranges):
                outside += 1
            elif code['kind'] in ('cubin', 'ptx'):
                inside[code['kind'], code['target'].split('_')[1], code['version'],
                       tuple(sorted(code.get('names', [])))] += 1
    return inside, outside


def theirs(cuobjdump, path):
    found = collections.Counter()
    for option, kind in ('-symbols', 'cubin'), ('-ptx', 'ptx'):
        p = subprocess.Popen([cuobjdump, '-all', option, path], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, errors='replace')
        current, names = None, []

        def end():
            if current and current['kind'] == kind and 'arch' in current:
                found[kind, current['arch'].split('_')[1], current['version'],
                      tuple(sorted(names))] += 1

        for line in p.stdout:
            m = re.match(r'Fatbin (\w+) code:', line)
            if m:
                end()
                current, names = {'kind': {'elf': 'cubin'}.get(m[1], m[1])}, []
            elif not current:
                continue
            elif line.startswith('arch = '):
                current['arch'] = line[7:].strip()
            elif line.startswith('code version = '):
                current['version'] = line[15:].strip(' []\n').replace(',', '.')
            elif kind == 'cubin' and re.match(r'FUNC .* ENTRY ', line):
                names.append(line.split()[-1])
            elif kind == 'ptx':
                m = re.match(r'\s*(?:\.visible |\.weak )?\.entry ([\w$]+)', line)
                if m:
                    names.append(m[1])
        p.wait()
        end()
    return found


def show(title, rest):
    for (kind, target, version, names), count in sorted(rest.items())[:6]:
        print(f'    {title}: {count} x {kind} {target} {version} with {len(names)} kernels {names[:2]}')


def main():
    kguard, cuobjdump, *paths = sys.argv[1:]
    bad = 0
    for path in paths:
        mine, outside = ours(kguard, path)
        his = theirs(cuobjdump, path)
        same = mine == his
        bad += not same
        print(f'{os.path.basename(path)}: {"equal" if same else "DIFFERENT"}, {sum(mine.values())} codes, '
              f'{sum(len(k[3]) * n for k, n in mine.items())} kernels; {outside} codes outside its sections')
        if not same:
            show('kguard alone', mine - his)
            show('cuobjdump alone', his - mine)
    sys.exit(bad > 0)


main()
