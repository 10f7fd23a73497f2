"""How fast things are and where the time goes: ratios measured in one run, never timed tests.

Every part `NAME` of `tools/benchmark.py` is a function `benchmark_NAME` of a config, of how to
measure (`Turns`) and of the tool's options, whose help says what they mean; it gives a `Report`.
"""
