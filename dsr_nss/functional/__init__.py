"""The mathematics of the method: pure functions of tensors, no registry, no state, one idea a file."""
