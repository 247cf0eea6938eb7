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
driver = field(b"driver") + field(struct.pack("<I", 12080)) + field(b"570.26")
seeds = os.path.join(here, "..", "fuzz", "corpus", "cache_entry")
os.makedirs(seeds, exist_ok=True)
for name, data in (("format1.entry", entry(1, key, compiler, b"no cubin, but as good as one")),
                   ("format2.entry", entry(2, key, compiler, b"no cubin, but as good as one")),
                   ("failure.entry", entry(1, key, driver, b"refused: 209", flags=1, cost=99))):
    for folder in (seeds,) if name == "failure.entry" else (here, seeds):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


def place(key, compiler, payload, cost):
    digest, by = hashlib.sha256(key).hexdigest(), hashlib.sha256(compiler).hexdigest()
    path = os.path.join(here, "tree", digest[:2], digest[2:] + "." + by[:16])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(entry(1, key, compiler, payload, cost=cost))


# A tier as it lies in an image: one input by two compilers, and with another option.
with open(os.path.join(here, "..", "fixtures", "cubin_90a.cubin"), "rb") as f:
    cubin = f.read()
jit = field(b"driver") + field(struct.pack("<I", 13000)) + field(b"580.95.05")
ptx = [(b"plain", b"not read here")]
place(key_block(ptx, b"sm_90a", b""), compiler, cubin, 0)
place(key_block(ptx, b"sm_90a", b""), jit, cubin, 1500)
place(key_block(ptx, b"sm_90a", b"-O1"), compiler, cubin, 0)
print("jit_cache_entry.c", hashlib.sha256(key).hexdigest())

# Kernels of one of them by themselves: made of its key and the kernel's name, which is among the options as
# far as they go.
whole = hashlib.sha256(key_block(ptx, b"sm_90a", b"-O1")).digest()
for name in (b"_Z8voxelizePKfPii", 600 * b"x"):
    one = key_block([(b"plain", whole), (b"plain", name)], b"sm_90a", b"kernel " + name[:504])
    print("jit_cache_golden.c", hashlib.sha256(one).hexdigest())
