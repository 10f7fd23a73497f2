"""Published matcher weights rebuilt from the reference data, and a tiny network."""

from pathlib import Path
from types import SimpleNamespace

import torch
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.matching import MatchingNetwork
from dsr_nss.matching.weights import convert_uawarpc
from tests.models.segmentors.networks import load_fill


@MODELS.register_module()
class TinyEncoder(nn.Module):
    """Maps at strides 4, 8, 16 and 32 of other widths than VGG's; rounds sizes up."""

    def __init__(self, widths=(6, 10, 12, 14)):
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Conv2d(a, b, 2 * s - 1, s, s - 1)
            for a, b, s in zip((3, *widths), widths, (4, 2, 2, 2), strict=False)
        )

    def forward(self, image):
        maps = []
        for stage in self.stages:
            image = stage(image).tanh()
            maps.append(image)
        return maps


#: Without a normalisation, to tell what a test puts in.
TINY = dict(
    type='BackbonePyramid', backbone=dict(type='TinyEncoder'), mean=(0, 0, 0), std=(255, 255, 255)
)


def tiny_network(seed: int = 0) -> MatchingNetwork:
    torch.manual_seed(seed)
    return MatchingNetwork(pyramid=TINY)


def published_matcher(shared: Path) -> SimpleNamespace:
    """`fill`: the reference's weights and inputs; `state_dict`: of the matcher."""
    fill = load_fill(shared)
    state_dict = fill.state_dict_from_json(shared / 'reference/keys/alignment.keys.json')
    return SimpleNamespace(fill=fill, state_dict=state_dict)


def published_network(shared: Path) -> MatchingNetwork:
    """With the weights of the references; it takes normalised images, as the references do."""
    network = MatchingNetwork().eval().requires_grad_(False)
    network.load_state_dict(convert_uawarpc(published_matcher(shared).state_dict))
    network.pyramid.mean.zero_()
    network.pyramid.std.fill_(255)
    return network
