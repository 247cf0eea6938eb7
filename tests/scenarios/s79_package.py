# An extension as pip installs it: the report names its package, and advises by the PyTorch beside it.
# run: SITE=@/venv/lib/python3.10/site-packages
# run: SITE=@/venv/lib/python3.10/site-packages KGUARD_LOG_FORMAT=json
# unsanitized: TSan wants an interpreter of its own
import ctypes
import os
import shutil

site = os.environ["SITE"]
name = "udf_ext.cpython-310-x86_64-linux-gnu.so"


def install(package, version, path, library):
    """What pip leaves of a wheel with one library in it."""
    info = "%s/%s-%s.dist-info" % (site, package, version)
    os.makedirs(info, exist_ok=True)
    with open(info + "/METADATA", "w") as f:
        f.write("Metadata-Version: 2.1\nName: %s\nVersion: %s\n\n" % (package, version))
    with open(info + "/RECORD", "w") as f:
        f.write("%s,sha256=Mg2kl8,22912\n%s-%s.dist-info/RECORD,,\n" % (path, package, version))
    os.makedirs(os.path.dirname("%s/%s" % (site, path)), exist_ok=True)
    shutil.copy(library, "%s/%s" % (site, path))


libraries = site.split("/venv/")[0]
install("udf_ext", "0.0.0", name, libraries + "/libextension12.so")
install("torch", "2.5.1+cu121", "torch/lib/libtorch_cpu.so", libraries + "/libtorchcpu.so")
ctypes.CDLL(site + "/torch/lib/libtorch_cpu.so")
print("result", ctypes.CDLL(site + "/" + name).extension_bad())
