#!/usr/bin/env python3
"""Makes every image that tests/gpu/record.c gives to a driver.

  CUDA=/usr/local/cuda CUDA_12_4=/path/of/12.4/bin CUDA_11_8=... python3 tests/gpu/cases/make.py

Images are real ptxas, nvcc and fatbinary 13.0 output; ABI 7 cubins come from the 12.4 and 11.8
tools of Debian non-free (nvidia-cuda-toolkit). Crafted ones are such output with the bytes changed
that the name tells. Every kernel writes one constant, so that its result tells which entry ran:
    1000 + arch    cubin            ptx 2000 + arch    +10000 'a', +20000 'f'    +100 a second one
Writes the images and SHA256SUMS beside this file. Needed only to change them: after that, record
anew, since recorded lines belong to these bytes. Remade images are the same, but for the two with
LTO code, which holds a random name.
"""
import hashlib, os, shutil, struct, subprocess, sys, tempfile

here = os.path.dirname(os.path.abspath(__file__))
CUDA = os.path.join(os.environ.get("CUDA", "/usr/local/cuda"), "bin")
OLD = {"11.8": os.environ.get("CUDA_11_8"), "12.4": os.environ.get("CUDA_12_4")}
work = tempfile.mkdtemp()

# The PTX ISA version that brought each target.
ISA = {50: "4.0", 52: "4.1", 60: "5.0", 61: "5.0", 70: "6.0", 75: "6.3", 80: "7.0", 86: "7.1",
       87: "7.4", 88: "9.0", 89: "7.8", 90: "7.8", 100: "8.6", 101: "8.6", 103: "8.8",
       110: "9.0", 120: "8.7", 121: "8.8"}

PTX = """.version %s
.target %s
.address_size 64

.visible .entry %s(.param .u64 out)
{
\t.reg .b32 %%r<2>;
\t.reg .b64 %%rd<3>;

\tld.param.u64 %%rd1, [out];
\tcvta.to.global.u64 %%rd2, %%rd1;
\tmov.b32 %%r1, %d;
\tst.global.u32 [%%rd2], %%r1;
\tret;
}
"""


def split(arch):
    arch = str(arch)
    return (int(arch[:-1]), arch[-1]) if arch[-1] in "af" else (int(arch), "")


def value(arch, ptx, second=0):
    n, s = split(arch)
    return (2000 if ptx else 1000) + n + {"": 0, "a": 10000, "f": 20000}[s] + 100 * second


def text(arch, ptx=True, second=0, isa=None, entry="marker"):
    n, s = split(arch)
    isa = isa or (ISA[n] if not s else {"a": {90: "8.0", 103: "8.8", 110: "9.0", 121: "8.8"}.get(
        n, ISA[n]), "f": max(ISA[n], "8.8")}[s])
    return PTX % (isa, "sm_%s" % arch, entry, value(arch, ptx, second))


def run(*command):
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if done.returncode:
        sys.exit("%s\n%s%s" % (" ".join(command), done.stdout, done.stderr))


def put(name, data):
    with open(os.path.join(work, name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return name


def get(name):
    with open(os.path.join(work, name), "rb") as f:
        return f.read()


def cubin(arch, second=0, tools=None, flags=(), entry="marker"):
    ptx = put("t.ptx", text(arch, False, second, entry=entry))
    name = "c%s_%d%s%s%s" % (arch, second, tools or "", "".join(flags), entry)
    run(os.path.join(tools and OLD[tools] or CUDA, "ptxas"), "-m64", "-arch=sm_%s" % arch, *flags,
        ptx, "-o", name)
    return name


def ptx(arch, second=0, isa=None, entry="marker"):
    name = "p%s_%d%s%s.ptx" % (arch, second, isa or "", entry)
    return put(name, text(arch, True, second, isa, entry))


def fatbin(*images, flags=("--compress=false",), tools=None):
    """images: (kind, arch, file)"""
    run(os.path.join(tools and OLD[tools] or CUDA, "fatbinary"), "--64", "--create=t.fatbin",
        *flags, *["--image3=kind=%s,sm=%s,file=%s" % i for i in images])
    return get("t.fatbin")


def E(arch, second=0, **more):
    return ("elf", arch, cubin(arch, second, **more))


def P(arch, second=0, **more):
    return ("ptx", arch, ptx(arch, second, **more))


def entries(fat):
    """The entries of a fatbin, each whole."""
    at, out = 16, []
    while at < len(fat):
        head, padded = struct.unpack_from("<IQ", fat, at + 4)
        out.append(fat[at:at + head + padded])
        at += head + padded
    return out


def container(parts, size=None, tail=b""):
    body = b"".join(parts)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body) if size is None else size) + body + tail


def patch(data, fmt, offset, new):
    data = bytearray(data)
    struct.pack_into(fmt, data, offset, new)
    return bytes(data)


def one(*image, **more):
    return entries(fatbin(image, **more))[0]


def flag(entry, on=0, off=0):
    (flags,) = struct.unpack_from("<Q", entry, 0x28)
    return patch(entry, "<Q", 0x28, (flags | on) & ~off)


made = {}


def image(name, data):
    assert name not in made, name
    made[name] = data
    with open(os.path.join(here, name), "wb") as f:
        f.write(data)


CUBINS = ["75", "80", "86", "87", "88", "89", "90", "90a", "100", "100a", "100f", "103", "110",
          "120", "120a", "120f", "121"]
PTXS = ["50", "60", "70", "75", "80", "86", "87", "88", "89", "90", "90a", "100", "100a", "100f",
        "101", "103", "110", "120", "120a", "120f", "121"]


def singles():
    for a in CUBINS:
        image("sm_%s.cubin" % a, get(cubin(a)))
        image("sm_%s.fatbin" % a, fatbin(E(a)))
    for a in PTXS:
        image("compute_%s.ptx" % a, get(ptx(a)))
        if a != "101":  # fatbinary 13.0 has no sm_101
            image("compute_%s.fatbin" % a, fatbin(P(a)))
    for tools, archs in (("12.4", ["60", "70", "80", "90", "90a"]), ("11.8", ["50", "80", "90"])):
        for a in archs:
            image("abi7_%s_sm_%s.cubin" % (tools, a), get(cubin(a, tools=tools)))
            image("abi7_%s_sm_%s.fatbin" % (tools, a),
                  fatbin(("elf", a, cubin(a, tools=tools)), tools=tools))


def texts():
    good = text("80")
    image("isa_9.0.ptx", text("80", isa="9.0").encode())
    for isa in ("9.1", "9.9", "12.0"):
        image("isa_%s.ptx" % isa, text("80", isa=isa).encode())
        image("isa_%s.fatbin" % isa, container([one("ptx", "80", ptx("80", isa=isa))]))
    image("isa_old_for_target.ptx", text("90", isa="4.0").encode())
    broken = good.replace("mov.b32", "mvo.b32")
    image("invalid.ptx", broken.encode())
    image("invalid.fatbin", fatbin(("ptx", "80", put("bad.ptx", broken))))
    image("no_version.ptx", good.replace(".version 7.0\n", "").encode())
    image("no_entry.ptx", good.split(".visible")[0].encode())
    image("white_space.ptx", ("\n\n  \t" + good).encode())
    image("comment_first.ptx", ("// made by a compiler\n" + good).encode())
    image("garbage.ptx", b"this is no PTX at all\n")
    image("extern.ptx", good.replace(".visible", ".extern .func elsewhere();\n.visible").replace(
        "\tret;", "\tcall.uni elsewhere;\n\tret;").encode())
    image("target_list.ptx", good.replace("sm_80", "sm_80, sm_90").encode())
    image("target_compute.ptx", good.replace("sm_80", "compute_80").encode())
    image("bare_entry.ptx", good.replace(".visible ", "").encode())


def kinds():
    c90, p80, p90 = one(*E("90")), one(*P("80")), one(*P("90"))
    image("relocatable.cubin", get(cubin("90", flags=("-c",))))
    image("relocatable_cubin.fatbin", fatbin(E("90", flags=("-c",)), flags=("--compress=false", "-c")))
    image("relocatable_ptx.fatbin",
          fatbin(P("80"), flags=("--compress=false", "-c", "--cmdline=--compile-only")))
    cu = put("t.cu", 'extern "C" __global__ void marker(int *out) { *out = 3090; }\n')
    run(CUDA + "/nvcc", "-fatbin", "-rdc=true", "-gencode", "arch=compute_90,code=lto_90", cu, "-o", "lto")
    image("lto.fatbin", get("lto"))
    image("lto_and_ptx.fatbin", container([entries(get("lto"))[0], p80]))
    for k in (0x10, 0x20, 0x40, 0x80, 0x100, 0x123):
        image("kind_%x_cubin.fatbin" % k, container([patch(c90, "<H", 0, k)]))
        image("kind_%x_and_ptx.fatbin" % k, container([patch(c90, "<H", 0, k), p80]))
    image("kind_40_ptx.fatbin", container([patch(p80, "<H", 0, 0x40)]))
    image("obfuscated_flag.fatbin", container([flag(p80, on=0x10000)]))
    image("entry_version_0102.fatbin", container([patch(c90, "<H", 2, 0x102)]))
    image("no_64bit_flag.fatbin", container([flag(c90, off=1)]))
    image("flag_windows.fatbin", container([flag(c90, on=0x40, off=0x10)]))
    image("flag_debug.fatbin", container([flag(c90, on=2)]))
    image("cubin_1.9.fatbin", container([patch(c90, "<H", 0x18, 9)]))
    image("cubin_1.7_says_header.fatbin", container([patch(c90, "<H", 0x18, 7)]))
    image("header_isa_9.1_text_7.0.fatbin",
          container([patch(patch(p80, "<H", 0x18, 1), "<H", 0x1A, 9)]))
    image("header_compute_120_text_80.fatbin", container([patch(p80, "<I", 0x1C, 120)]))
    image("header_compute_80_text_120.fatbin",
          container([patch(one(*P("120")), "<I", 0x1C, 80)]))
    image("header_sm_90_elf_75.fatbin", container([patch(one(*E("75")), "<I", 0x1C, 90)]))
    image("header_sm_90_elf_75_and_ptx.fatbin",
          container([patch(one(*E("75")), "<I", 0x1C, 90), p80]))
    image("header_sm_80_elf_90.fatbin", container([patch(c90, "<I", 0x1C, 80)]))
    image("header_sm_90_elf_90a.fatbin", container([flag(one(*E("90a")), off=0x100000)]))
    image("sm_90_bit_a.fatbin", container([flag(c90, on=0x100000)]))
    image("sm_90_bit_f.fatbin", container([flag(c90, on=0x200000)]))
    image("sm_90_bit_24.fatbin", container([flag(c90, on=0x1000000)]))
    image("sm_80_bit_a.fatbin", container([flag(one(*E("80")), on=0x100000)]))
    image("compute_80_bit_a.fatbin", container([flag(p80, on=0x100000)]))
    image("compute_90_bit_a.fatbin", container([flag(p90, on=0x100000)]))
    image("compute_90_bit_f.fatbin", container([flag(p90, on=0x200000)]))
    image("stub.fatbin", fatbin(("elf", "75", stub("75")), ("elf", "90", stub("90"))))
    image("stub_75.fatbin", fatbin(("elf", "75", stub("75"))))


def stub(arch):
    """The kernel-less cubin that a device link leaves behind."""
    name = "stub" + arch
    put("s.ptx", text(arch).split(".visible")[0])
    run(CUDA + "/ptxas", "-m64", "-arch=sm_" + arch, "s.ptx", "-o", name)
    return name


def choices():
    """Which entry does a driver take: pairs of entries, usually in both orders."""
    c = {k: one(*E(k)) for k in ("75", "80", "90", "90a", "120")}
    p = {k: one(*P(k)) for k in ("70", "75", "80", "90", "90a", "120")}
    second_c, second_p = one(*E("90", 1)), one(*P("90", 1))

    def pair(name, a, b):
        image(name + "_ab.fatbin", container([a, b]))
        image(name + "_ba.fatbin", container([b, a]))
    pair("pick_sm_90_compute_90", c["90"], p["90"])
    pair("pick_sm_90_compute_75", c["90"], p["75"])
    pair("pick_sm_80_sm_90", c["80"], c["90"])
    pair("pick_sm_80_sm_120", c["80"], c["120"])
    pair("pick_sm_80_compute_80", c["80"], p["80"])
    pair("pick_sm_120_compute_80", c["120"], p["80"])
    pair("pick_sm_120_compute_120", c["120"], p["120"])
    pair("pick_sm_80_compute_120", c["80"], p["120"])
    pair("pick_compute_75_compute_80", p["75"], p["80"])
    pair("pick_compute_80_compute_90", p["80"], p["90"])
    pair("pick_compute_80_compute_120", p["80"], p["120"])
    pair("pick_compute_90_compute_90a", p["90"], p["90a"])
    pair("pick_compute_80_compute_90a", p["80"], p["90a"])
    pair("pick_sm_90_sm_90a", c["90"], c["90a"])
    pair("pick_sm_90a_compute_90", c["90a"], p["90"])
    pair("pick_sm_90_compute_90a", c["90"], p["90a"])
    pair("pick_sm_90_twice", c["90"], second_c)
    pair("pick_compute_90_twice", p["90"], second_p)
    pair("pick_sm_90_bit_24", flag(c["90"], on=0x1000000), second_c)
    pair("pick_sm_90a_bit_24", flag(c["90a"], on=0x1000000), second_c)
    pair("pick_sm_90_kind_10", patch(c["90"], "<H", 0, 0x10), second_c)
    pair("pick_kind_10_compute_80", patch(c["90"], "<H", 0, 0x10), p["80"])
    pair("pick_unfit_bit_24", flag(c["80"], on=0x1000000), c["90"])
    pair("pick_isa_9.1_isa_7.0", one("ptx", "80", ptx("80", isa="9.1")), p["75"])
    pair("pick_invalid_valid", one("ptx", "80", "bad.ptx"), p["75"])
    pair("pick_sm_90_wrong_elf_sm_90", patch(c["75"], "<I", 0x1C, 90), c["90"])
    pair("pick_stub_90_compute_80", one("elf", "90", stub("90")), p["80"])
    other = one(*E("90", entry="another"))
    pair("pick_other_kernel", other, p["80"])
    image("every_arch.fatbin", fatbin(*[E(a) for a in ("75", "80", "86", "89", "90", "100", "120")],
                                      P("120")))
    image("no_sm_90.fatbin", fatbin(*[E(a) for a in ("75", "80", "86", "89", "100", "120")]))


def containers():
    c90, c80, p80, p90 = one(*E("90")), one(*E("80")), one(*P("80")), one(*P("90"))
    good = container([c90])
    image("empty.fatbin", container([]))
    image("truncated_payload.fatbin", good[:len(good) // 2])
    image("truncated_header.fatbin", good[:40])
    image("bad_magic.fatbin", patch(good, "<I", 0, 0xBA55ED51))
    image("version_2.fatbin", patch(good, "<H", 4, 2))
    image("header_24.fatbin", patch(good, "<H", 6, 24))
    image("size_high_bits.fatbin", patch(good, "<Q", 8, len(c90) + (7 << 32)))
    image("size_negative.fatbin", patch(good, "<Q", 8, 0x80000000 | len(c90)))
    image("size_8.fatbin", container([c90], size=8))
    image("size_start_of_second.fatbin", container([p80, c90], size=len(p80) + 8))
    image("size_end_of_first.fatbin", container([p80, c90], size=len(p80)))
    image("entry_size_zero.fatbin", container([patch(c90, "<Q", 8, 0)]))
    image("entry_size_huge.fatbin", container([patch(c90, "<Q", 8, 1 << 40)]))
    image("entry_header_size_huge.fatbin", container([patch(c90, "<I", 4, 1 << 20)]))
    # Text up to the first NUL, whatever the sizes say.
    payload = text("80").encode() + b"\0this is no PTX" + b"\0" * 33
    raw = one("ptx", "80", put("nul.ptx", payload))
    image("ptx_nul_inside.fatbin", container([raw]))
    for packing, flags in (("zstd", ("-compress-all", "--compress-mode=size")),
                           ("lz4", ("-compress-all", "--compress-mode=speed"))):
        both = fatbin(E("90"), flags=flags)
        only = fatbin(P("80"), flags=flags)
        image("%s_cubin.fatbin" % packing, both)
        image("%s_ptx.fatbin" % packing, only)
        image("%s_unfit.fatbin" % packing, fatbin(E("80"), flags=flags))
        (head,) = struct.unpack_from("<I", both, 16 + 4)
        image("%s_flipped.fatbin" % packing, patch(both, "<Q", 16 + head + 40, 0xFFFFFFFFFFFFFFFF))
        e = entries(both)[0]
        (size,) = struct.unpack_from("<Q", e, 0x38)
        image("%s_size_small.fatbin" % packing, container([patch(e, "<Q", 0x38, size - 64)]))
        image("%s_size_large.fatbin" % packing, container([patch(e, "<Q", 0x38, size + 64)]))
    elf = get(cubin("90"))
    image("elf_machine.cubin", patch(elf, "<H", 18, 62))
    image("elf_truncated.cubin", elf[:len(elf) // 2])
    image("elf_magic.cubin", patch(elf, "<I", 0, 0x464C457E))
    image("elf_class_32.cubin", patch(elf, "<B", 4, 1))
    image("elf_abi_9.cubin", patch(elf, "<B", 8, 9))
    image("elf_sm_80.cubin", patch(elf, "<B", 0x30 + 1, 80))
    image("elf_sm_75.cubin", patch(elf, "<B", 0x30 + 1, 75))
    image("elf_sections_outside.cubin", patch(elf, "<Q", 0x28, 1 << 40))
    image("host.o", get("host.o"))


def options():
    """One PTX text with and without stored ptxas options: does the driver obey, and cache apart?"""
    many = ["\tadd.u64 %%rd2, %%rd1, 0;", ]
    body = text("80").replace(".reg .b32 %r<2>;", ".reg .b32 %r<90>;")
    loads = "".join("\tld.volatile.global.u32 %%r%d, [%%rd2+%d];\n" % (i, 4 * i)
                    for i in range(2, 82))
    adds = "".join("\tadd.u32 %%r1, %%r1, %%r%d;\n" % i for i in range(2, 82))
    body = body.replace("\tst.global", loads + adds + "\tst.global")
    put("regs.ptx", body)
    for name, cmdline in (("none", None), ("maxreg", "-maxrregcount=24"), ("o0", "-O0"),
                          ("lineinfo", "--generate-line-info"), ("unknown", "--no-such-option")):
        flags = ("--compress=false",) + (("--cmdline=" + cmdline,) if cmdline else ())
        image("options_%s.fatbin" % name, fatbin(("ptx", "80", "regs.ptx"), flags=flags))
    image("options_none.ptx", body.encode())


def linked():
    """-rdc: the linked cubin for sm_80 alone, and the relocatable set behind a version 2 wrapper."""
    put("a.cu", 'extern __device__ int elsewhere();\n'
                'extern "C" __global__ void marker(int *out) { *out = elsewhere(); }\n')
    put("b.cu", '__device__ int elsewhere() { return 4080; }\n')
    for kind, code in (("ptx", "[sm_80,compute_80]"), ("sm", "sm_80")):
        gen = ("-gencode", "arch=compute_80,code=" + code)
        for unit in "ab":
            run(CUDA + "/nvcc", "-rdc=true", "-fatbin", *gen, unit + ".cu", "-o", unit + ".fatbin")
            image("rdc_%s_%s.fatbin" % (kind, unit), get(unit + ".fatbin"))
            run(CUDA + "/nvcc", "-dc", *gen, unit + ".cu", "-o", unit + ".o")
        run(CUDA + "/nvcc", "-dlink", "-fatbin", "-gencode", "arch=compute_80,code=sm_80", "a.o", "b.o",
            "-o", "linked.fatbin")
        image("rdc_%s_linked.fatbin" % kind, get("linked.fatbin"))


put("h.c", "int x;\n")
run("gcc", "-c", "h.c", "-o", "host.o")
for name in os.listdir(here):
    if name.endswith((".cubin", ".fatbin", ".ptx", ".o")):
        os.unlink(os.path.join(here, name))
singles()
texts()
kinds()
choices()
containers()
options()
linked()
shutil.rmtree(work)
with open(os.path.join(here, "SHA256SUMS"), "w") as f:
    for name in sorted(made):
        f.write("%s  %s\n" % (hashlib.sha256(made[name]).hexdigest(), name))
print(len(made), "images,", sum(map(len, made.values())), "bytes")
