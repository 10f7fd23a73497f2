"""Fixtures of the data set tests."""

import numpy as np
import pytest

import dsr_nss  # noqa: F401  registers the classes


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(7)
