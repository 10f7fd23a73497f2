"""A matching network small enough for a training step, with its weights in a file."""

import pytest
import torch

from tests.models.matching.networks import TINY, tiny_network


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
