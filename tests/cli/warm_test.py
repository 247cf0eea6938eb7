#!/usr/bin/env python3
"""kguard warm: over the scenarios' PTX, with a ptxas that knows its cubin; what it leaves is found by a
process under the library."""
import os
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
JIT = "tests/scenarios/jit"
failures = []
os.chdir(ROOT)


def expect(what, good):
    if not good:
        failures.append(what)
        print("FAIL:", what)


def warm(*arguments, code=0, ptxas="ptxas", **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KGUARD") and k != "XDG_CACHE_HOME"}
    if ptxas:
        env["KGUARD_PTXAS"] = os.path.join(JIT, ptxas)
    env.update(environment)
    done = subprocess.run([os.path.join(OBJDIR, "kguard"), "warm", *arguments], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    expect("kguard warm %s: exit %d, not %d: %s" % (" ".join(arguments), done.returncode, code,
                                                   done.stderr), done.returncode == code)
    return done.stdout, done.stderr


def stand_in(path, text):
    """A shell script in the place of a ptxas."""
    with open(path, "w", encoding="utf-8") as script:
        script.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def tree(folder):
    return {os.path.relpath(os.path.join(d, f), folder): open(os.path.join(d, f), "rb").read()
            for d, _, names in os.walk(folder) for f in names}


with tempfile.TemporaryDirectory() as folder:
    one, two, three = (os.path.join(folder, name) for name in ("one", "two", "three"))
    fatbin, text = os.path.join(JIT, "voxelize.compute_80.fatbin"), os.path.join(JIT, "voxelize.compute_80.ptx")

    out, _ = warm("--target", "sm_120", "--cache", one, fatbin, text)
    expect("two compiled: " + out, out.startswith("2 compiled, 0 were there, 0 failed"))
    out, _ = warm("-t", "12.0", "-c", one, text, fatbin, fatbin)
    expect("both there: " + out, out.startswith("0 compiled, 2 were there, 0 failed"))
    warm("-t", "sm_120", "-c", two, "-j", "1", "-q", text, fatbin)
    expect("the same tree, whatever the order", tree(one) == tree(two) and len(tree(one)) == 2)
    expect("readable by all", all(os.stat(os.path.join(one, f)).st_mode & 0o777 == 0o644
                                  for f in tree(one)))

    # Inside an archive the key is the same; the whole folder at once, and what needs no JIT is left.
    wheel = os.path.join(folder, "x.tar.gz")
    with tarfile.open(wheel, "w:gz") as tar:
        tar.add(fatbin, "lib/a.fatbin")
        tar.add("examples/voxelize.sm_120.fatbin", "lib/b.fatbin")
        tar.add(text, "a.ptx")
    warm("-t", "sm_120", "-c", three, wheel)
    expect("the same from an archive", tree(three) == tree(one))
    out, _ = warm("-t", "sm_120", "-c", three, "examples")
    expect("nothing else: " + out, out.startswith("0 compiled, 0 were there, 0 failed"))

    # A library that holds it, and a process that finds it there.
    program = os.path.join(OBJDIR, "scenarios", "s60_jit_library")
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(OBJDIR, "fake", "580"), KGUARD_JIT="auto",
               KGUARD_LOG="info", KGUARD_CACHE_RO=one, LD_PRELOAD=os.path.join(OBJDIR, "libkguard.so"),
               HOME=folder)
    env.pop("KGUARD_CACHE_DIR", None)
    before = tree(one)
    if not os.environ.get("SAN"):
        done = subprocess.run([program, "run", "warm"], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True)
        expect("a hit by ptxas: " + done.stderr, done.returncode == 0 and
               "code from the cache (5488 bytes, by ptxas V13.0.88" in done.stderr and
               "JIT: 1 images from the cache" in done.stderr and "0 compiled" in done.stderr)
        expect("the tier is untouched", tree(one) == before)

    # Of large PTX the kernels too, as far as they are on their own and compile, and a mark; the same in any order.
    large, again = os.path.join(folder, "large"), os.path.join(folder, "again")
    many = os.path.join(JIT, "many.compute_80.fatbin")
    out, _ = warm("-t", "sm_120", "-c", large, many, ptxas="ptxas_many")
    expect("large: " + out, out.startswith("1 compiled, 0 were there, 0 failed") and
           out.endswith("\n4 kernels of the large ones are there by themselves as well\n"))
    options = sorted(re.search(rb"sm_120....(kernels of a module|kernel \w{8}|)", entry, re.S)[1]
                     for entry in tree(large).values())
    expect("its entries: %s" % options, options == [b"", b"kernel kernel_1", b"kernel kernel_2", b"kernel kernel_3",
                                                    b"kernel kernel_4", b"kernels of a module"])
    warm("-t", "sm_120", "-c", again, many, fatbin, "-j", "1", "-q", ptxas="ptxas_many", code=1)
    expect("the same kernels", tree(again) == tree(large))
    out, _ = warm("-t", "sm_120", "-c", large, many, ptxas="ptxas_many")
    expect("all there: " + out, out.startswith("0 compiled, 1 were there, 0 failed") and "\n4 kernels" in out and
           tree(again) == tree(large))
    if not os.environ.get("SAN"):
        env.update(KGUARD_CACHE_RO=large)
        for scenario, what in (("s107_jit_marked_library", "1-1"), ("s105_jit_module_kernels", "data"),
                               ("s107_jit_marked_library", "all")):
            done = subprocess.run([os.path.join(OBJDIR, "scenarios", scenario), "run", what], env=env,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
            expect("%s %s: %s" % (scenario, what, done.stderr), done.returncode == 0 and
                   "code from the cache (7320 bytes, by ptxas V13.0.88" in done.stderr and
                   ("code from the cache (95 KB" in done.stderr) == (what == "all") and "0 compiled" in done.stderr)
    # A compiler that does not come to its end is no answer, and nothing says that all is there.
    for end, words in (("kill -9 $$", "it was ended by signal 9"),
                       ("{ echo ptxas fatal: Memory allocation failure >&2; exit 255; }", "Memory allocation failure")):
        ended = os.path.join(folder, "ended")
        ptxas = stand_in(os.path.join(folder, "ptxas_ended"),
                         "[ $1 = --version ] || ! grep -q '\\.entry kernel_2_' \"$3\" ||\n"
                         "    grep -q '\\.entry kernel_1_' \"$3\" || %s\n"
                         'exec %s "$@"\n' % (end, os.path.abspath(os.path.join(JIT, "ptxas_many"))))
        out, err = warm("-t", "sm_120", "-c", ended, "--ptxas", ptxas, many, code=1)
        expect("ended: " + out + err, out.startswith("1 compiled, 0 were there, 0 failed") and
               "themselves" not in out and "1 of its kernels were not compiled by themselves for sm_120: " in err and
               err.endswith(words + "\n"))
        expect("no mark", len(tree(ended)) == len(tree(large)) - 2)
        warm("-t", "sm_120", "-c", ended, many, ptxas="ptxas_many")
        expect("mended", tree(ended) == tree(large))
        shutil.rmtree(ended)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, files[1]))
    warm("-t", "sm_120", "-c", os.path.join(folder, "files"), "-j", "20", many, ptxas="ptxas_many")
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    expect("more files than are allowed at first", tree(os.path.join(folder, "files")) == tree(large))
    # Where the whole does not compile, nothing says that it did.
    ptxas = stand_in(os.path.join(folder, "ptxas_half"),
                     "[ $1 = --version ] || [ $(grep -c '\\.entry kernel_' \"$3\") -lt 20 ] || exit 1\n"
                     'exec %s "$@"\n' % os.path.abspath(os.path.join(JIT, "ptxas_many")))
    warm("-t", "sm_120", "-c", os.path.join(folder, "half"), "--ptxas", ptxas, many, code=1)
    expect("kernels of what does not compile", not os.path.isdir(os.path.join(folder, "half")) or
           not tree(os.path.join(folder, "half")))

    # A kernel that is most of its image is the whole's.
    single = os.path.join(folder, "single.ptx")
    with open(single, "w") as f:
        f.write(".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry "
                "kernel_1_that_is_on_its_own_and_has_a_name_of_so_many_letters_that_few_parameters_will_do()\n{\n" +
                "    bar.sync 0;\n" * 5000 + "    ret;\n}\n")
    out, _ = warm("-t", "sm_120", "-c", os.path.join(folder, "single"), single, ptxas="ptxas_many")
    expect("single: " + out, out.startswith("1 compiled, 0 were there, 0 failed") and "kernels" not in out)
    expect("no mark of one kernel", len(tree(os.path.join(folder, "single"))) == 1)

    # As many at a time as it may use cores of.
    said = os.path.join(folder, "said")
    slow = stand_in(os.path.join(folder, "ptxas"),
                    "[ $1 = --version ] || { echo start >>%s; sleep 0.3; echo end >>%s; }\n"
                    'exec %s "$@"\n' % (said, said, os.path.abspath(os.path.join(JIT, "ptxas"))))
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    warm("-t", "sm_120", "-c", os.path.join(folder, "slow"), "--ptxas", slow, fatbin, text)
    os.sched_setaffinity(0, cores)
    expect("one at a time", open(said).read() == 2 * "start\nend\n")

    # What goes wrong is said, and is no entry.
    for ptxas, words in (("ptxas_fails", "ptxas fatal: nothing here"), ("ptxas_dies", "signal 11"),
                         ("ptxas_lies", "no cubin")):
        bad = os.path.join(folder, ptxas)
        out, err = warm("-t", "sm_120", "-c", bad, fatbin, code=1, ptxas=ptxas)
        expect(ptxas + ": " + err, words in err and "0 compiled" in out and "\n\n" not in err)
        expect(ptxas + " left an entry", not os.path.isdir(bad) or not tree(bad))
    bad = os.path.join(folder, "bad.tar")
    with tarfile.open(bad, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(fatbin, "a\x1b[2J\nkguard: b")
    os.truncate(bad, 1000)
    _, err = warm("-t", "sm_120", "-c", one, bad, code=3)
    expect("a name is shown: " + err, "a\\x1b[2J\\x0akguard: b" in err and err.count("\n") == 1)
    warm("-t", "sm_120", "-c", one, fatbin, code=2, ptxas="no_such_ptxas")
    warm("-t", "sm_120", "-c", one, code=2)
    warm("-t", "sm_none", "-c", one, fatbin, code=2)
    warm("-t", "sm_120", "-j", "0", "-c", one, fatbin, code=2)
    warm("-t", "sm_120", "-c", one, os.path.join(folder, "nothing"), code=3)
    _, err = warm("-t", "sm_120", "-c", "/dev/null/no", "-j", "1", fatbin, text, code=1)
    expect("a cache that cannot be: " + err, err.count("\n") == 1 and
           "nothing can be kept in /dev/null/no: Not a directory; 2 not compiled" in err)
    out, err = warm("-t", "sm_100,sm_120", "-c", three, "tests/fixtures/rdc.fatbin")
    expect("relocatable: " + out + err, out.startswith("0 compiled, 0 were there, 0 failed") and
           "1 images of relocatable code were left to the device link (KG108)" in err)

sys.exit(1 if failures else 0)
