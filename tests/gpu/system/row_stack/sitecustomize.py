"""For numba-cuda up to 0.30, which asks for it, and NumPy 2.5, which has it no more: found on PYTHONPATH
by every Python that the tests start."""
import numpy

if not hasattr(numpy, "row_stack"):
    numpy.row_stack = numpy.vstack
