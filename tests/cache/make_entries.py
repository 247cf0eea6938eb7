#!/usr/bin/env python3
"""Writes the cache entries that the tests read, from the format's description in shim/jit/cache.h and
not with the code under test. Needs xxhsum (Debian package xxhash).   tests/cache/make_entries.py"""
import hashlib
import os
import struct
import subprocess

here = os.path.dirname(os.path.abspath(__file__))


def field(data):
    return struct.pack("<I", len(data)) + data


def key_block(inputs, target, options):
    stream = b"".join(struct.pack("<Q", len(x)) + x for pair in inputs for x in pair)
    return (field(b"kguard key 1") + field(target) + field(options)
            + field(struct.pack("<Q", len(inputs)))
            + field(struct.pack("<Q", sum(len(data) for _, data in inputs)))
            + field(hashlib.sha256(stream).digest()))


def entry(fmt, key, compiler, payload, flags=0, cost=0):
    size = (72 + len(key) + len(compiler) + 63) // 64 * 64
    head = (b"KGCACHE\0" + struct.pack("<II", fmt, size) + hashlib.sha256(key).digest()
            + struct.pack("<QIIII", len(payload), flags, cost, len(key), len(compiler))
            + key + compiler)
    data = head.ljust(size, b"\0") + payload
    digest = subprocess.run(["xxhsum", "-H2", "-"], input=data, stdout=subprocess.PIPE, check=True)
    return data + bytes.fromhex(digest.stdout.split()[0].decode())


key = key_block([(b"zstd", b"ab"), (b"zstd", b"cde")], b"sm_90a", b"7=3")
compiler = field(b"ptxas") + field(struct.pack("<I", 13000)) + field(b"V13.0.88")
for name, fmt in ("format1.entry", 1), ("format2.entry", 2):
    with open(os.path.join(here, name), "wb") as f:
        f.write(entry(fmt, key, compiler, b"no cubin, but as good as one"))
print(hashlib.sha256(key).hexdigest())
