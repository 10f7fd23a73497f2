"""Slow, plain float64 NumPy versions of every equation: what the tests hold the package against.

Each file states one idea of the method in loops over pixels and classes, without looking at the
fast version. Nothing here is imported by the package.
"""
