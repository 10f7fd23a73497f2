"""Published weights, rebuilt once for the tests of a file, and a matcher small enough to train."""

import pytest
import torch

from tests.matching import networks
from tests.matching.networks import TINY, tiny_network


@pytest.fixture(scope='session')
def published(shared_dir):
    return networks.published_matcher(shared_dir)


@pytest.fixture(scope='module')
def published_network(shared_dir):
    return networks.published_network(shared_dir)


@pytest.fixture
def weights_file(tmp_path):
    path = tmp_path / 'matching.pth'
    torch.save({'state_dict': tiny_network(seed=1).state_dict()}, path)
    return path


@pytest.fixture
def aligner_config(weights_file):
    return dict(
        type='UAWarpC',
        init_cfg=dict(type='Pretrained', checkpoint=str(weights_file)),
        pyramid=TINY,
    )
