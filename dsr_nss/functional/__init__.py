"""The mathematics of the method: pure functions of tensors, one idea per file."""
