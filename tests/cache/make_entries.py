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


def roots(power, count):
    """The first 32 bits behind the point of the first primes' roots, as FIPS 180-4 makes SHA-256's constants."""
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))]
    out = []
    for prime in primes[:count]:
        low, high = 0, prime << 32
        while high - low > 1: # the root, times 2**32
            middle = (low + high) // 2
            low, high = (middle, high) if middle ** power <= prime << 32 * power else (low, middle)
        out.append(low & 0xffffffff)
    return out


CONSTANTS = roots(3, 64)


def compress(state, words):
    """FIPS 180-4, 6.2.2, as it stands there."""
    def rotated(x, n):
        return (x >> n | x << 32 - n) & 0xffffffff

    w = list(words)
    for t in range(16, 64):
        w.append(((rotated(w[t - 2], 17) ^ rotated(w[t - 2], 19) ^ w[t - 2] >> 10) + w[t - 7] + w[t - 16]
                  + (rotated(w[t - 15], 7) ^ rotated(w[t - 15], 18) ^ w[t - 15] >> 3)) & 0xffffffff)
    a, b, c, d, e, f, g, h = state
    for constant, word in zip(CONSTANTS, w):
        t1 = (h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + constant + word)
        t2 = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
        a, b, c, d, e, f, g, h = (t1 + t2) & 0xffffffff, a, b, c, (d + t1) & 0xffffffff, e, f, g
    return [(x + y) & 0xffffffff for x, y in zip(state, (a, b, c, d, e, f, g, h))]


def lanes(data):
    """A long field, of which 16 lanes hash whole rows: sha256.h."""
    if len(data) < 4096:
        return data
    states = [roots(2, 8)] * 16
    for at in range(0, len(data) // 1024 * 1024, 1024):
        row = struct.unpack("<256I", data[at:at + 1024])
        states = [compress(state, row[lane::16]) for lane, state in enumerate(states)]
    return (struct.pack("<128I", *(state[i] for i in range(8) for state in states))
            + data[len(data) // 1024 * 1024:])


def key_block(inputs, target, options):
    stream = b"".join(struct.pack("<Q", len(x)) + lanes(x) for pair in inputs for x in pair)
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

# Long ones: the shortest that is, with and without something behind the last row, and the longest that is not.
for size in (4095, 4096, 20001):
    block = key_block([(b"lz4", bytes(i * i >> 3 & 255 for i in range(size)))], b"sm_120", b"")
    print("jit_cache_golden.c", size, hashlib.sha256(block).hexdigest())
