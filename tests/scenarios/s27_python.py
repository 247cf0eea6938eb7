# A Python program that loads an extension through ctypes: the report names its file and line.
# run:
# run: works
import ctypes
import sys

extension = ctypes.CDLL("libextension12.so")


def step(launch):
    return launch()


def main():
    print("result", step(extension.extension_good if "works" in sys.argv else extension.extension_bad))


main()
