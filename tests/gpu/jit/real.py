#!/usr/bin/env python3
"""real.py LIBRARY OUT: the compute_80 PTX of a real library's images as fatbins of their own, as a GPU meets
them that none of its SASS fits; a real_N.fatbin each, of 0.5 to 3 MB of text, at most four of them."""
import struct
import sys

MAGIC, PTX = 0xBA55ED50, 1
library, out = sys.argv[1:]
data = open(library, "rb").read()
at, kept, seen = 0, 0, set()
while kept < 4 and (at := data.find(struct.pack("<IH", MAGIC, 1), at)) >= 0:
    magic, version, header, size = struct.unpack_from("<IHHQ", data, at)
    end, entry = at + header + size, at + header
    while entry + 64 <= end <= len(data):
        kind, _, head = struct.unpack_from("<HHI", data, entry)
        stored, = struct.unpack_from("<Q", data, entry + 8)
        target, = struct.unpack_from("<I", data, entry + 28)
        text, = struct.unpack_from("<Q", data, entry + 56)
        whole = data[entry:entry + head + stored]
        if kind == PTX and target == 80 and 500_000 <= text <= 3_000_000 and whole not in seen and kept < 4:
            seen.add(whole)
            with open(f"{out}/real_{kept}.fatbin", "wb") as f:
                f.write(struct.pack("<IHHQ", MAGIC, 1, 16, len(whole)) + whole)
            print(f"real_{kept}.fatbin: {text} bytes of PTX")
            kept += 1
        entry += head + stored
    at += 8
