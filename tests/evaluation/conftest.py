"""What several tests of archives start from."""

import pytest

from tests.evaluation.test_submission import write


@pytest.fixture
def archive(tmp_path):
    """Two images for Dark Zurich."""
    return write('dark_zurich', tmp_path / 'dz.zip', invalid_below=0.5)
