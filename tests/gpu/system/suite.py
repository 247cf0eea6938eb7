"""A part of Numba-CUDA's own test suite, as it is installed: one line "OUTCOME TEST" for each test.

    suite.py OUT PART PARTS MODULE...        every PARTS-th module, from PART on
"""
import importlib
import sys
import unittest

import numpy

if not hasattr(numpy, "row_stack"):  # numba-cuda 0.2 asks for it, NumPy 2.5 has it no more
    numpy.row_stack = numpy.vstack

out = open(sys.argv[1], "w")
part, parts = int(sys.argv[2]), int(sys.argv[3])


def one_line(text):
    return " ".join(str(text).split())


class Result(unittest.TestResult):
    def note(self, outcome, test):
        print(outcome, test.id(), file=out, flush=True)

    def addSuccess(self, test):
        self.note("passed", test)

    def addFailure(self, test, error):
        self.note("failed", test)

    def addError(self, test, error):
        if error[0].__name__ == "Skipped":  # pytest's, which unittest does not know
            return self.note("skipped", test)
        self.note("error", test)
        print("because", one_line(f"{error[0].__name__}: {error[1]}")[:150], file=out, flush=True)

    def addSkip(self, test, reason):
        self.note("skipped", test)

    def addExpectedFailure(self, test, error):
        self.note("xfailed", test)

    def addUnexpectedSuccess(self, test):
        self.note("xpassed", test)


for name in sys.argv[4:][part::parts]:
    try:
        module = importlib.import_module("numba.cuda.tests." + name)
    except Exception as error:  # ImportError, or what a module says of another that it finds
        print("missing", name, one_line(error)[:80], file=out, flush=True)
        continue
    unittest.defaultTestLoader.loadTestsFromModule(module).run(Result())
print("end", part, file=out, flush=True)
