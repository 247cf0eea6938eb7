# A Python program that loads an extension through ctypes: the report names its file and line.
# run:
# run: works
# unsanitized: TSan wants an interpreter of its own
import ctypes
import sys

extension = ctypes.CDLL("libextension12.so")


def step(launch):
    return launch()


def main():
    works = "works" in sys.argv
    print("result", step(extension.extension_good if works else extension.extension_bad))


main()
