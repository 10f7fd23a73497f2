"""Published weights, rebuilt once for the tests of a file."""

import pytest

from tests.models.matching import networks


@pytest.fixture(scope='session')
def published(shared_dir):
    return networks.published_matcher(shared_dir)


@pytest.fixture(scope='module')
def published_network(shared_dir):
    return networks.published_network(shared_dir)
