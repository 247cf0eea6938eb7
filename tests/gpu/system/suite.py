"""A part of Numba-CUDA's own test suite, as it is installed: one line "OUTCOME TEST" for each test.

    suite.py OUT PART PARTS MODULE...        every PARTS-th module, from PART on
"""
import importlib
import sys
import unittest


def one_line(text):
    return " ".join(str(text).split())


class Result(unittest.TestResult):
    def note(self, outcome, test):
        print(outcome, one_line(test.id()), file=out, flush=True)

    def addSuccess(self, test):
        self.note("passed", test)

    def addFailure(self, test, error):
        self.note("failed", test)

    def addSubTest(self, test, part, error):  # a test is no success when a part of it is none
        if error:
            self.addError(test, error)

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


# Tests start processes, some of which import this file again.
if __name__ == "__main__":
    out = open(sys.argv[1], "w")
    number, parts = int(sys.argv[2]), int(sys.argv[3])
    for name in sys.argv[4:][number::parts]:
        try:
            module = importlib.import_module("numba.cuda.tests." + name)
        except Exception as error:  # ImportError, or what a module says of another that it finds
            print("missing", name, one_line(error)[:80], file=out, flush=True)
            continue
        unittest.defaultTestLoader.loadTestsFromModule(module).run(Result())
    print("end", number, file=out, flush=True)
