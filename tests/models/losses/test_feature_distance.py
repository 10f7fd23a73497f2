"""The frozen encoder of the feature distance."""

import pytest
import torch
from torch import nn

from dsr_nss.models.losses import FeatureDistance

NAMES = ('road', 'car')


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, 4)

    def forward(self, image):
        return (image, self.conv(image))


def make(encoder: nn.Module, **kwargs) -> FeatureDistance:
    return FeatureDistance(encoder=encoder, class_names=NAMES, classes=['car'], **kwargs)


def test_zero_at_the_start_and_weighted_distance_later():
    encoder = Encoder()
    module = make(encoder, weight=0.5)
    module.copy_from(encoder)
    image = torch.randn(2, 3, 8, 8)
    label = torch.zeros(2, 16, 16, dtype=torch.int64)
    label[0] = 1
    assert float(module(encoder(image)[-1].detach(), image, label)) == 0
    shift = torch.full((2, 4, 2, 2), 3.0)
    distance = module(encoder(image)[-1].detach() + shift, image, label)
    assert float(distance) == pytest.approx(0.5 * 6.0, rel=1e-5)  # norm of (3, 3, 3, 3) is 6


def test_copy_is_frozen_and_belongs_to_the_state():
    encoder = Encoder()
    module = make(encoder)
    assert not any(p.requires_grad for p in module.parameters())
    assert not module.train().encoder.training
    assert set(module.state_dict()) == {'encoder.conv.weight', 'encoder.conv.bias'}
    with torch.no_grad():
        encoder.conv.weight.add_(1)
    assert not torch.equal(encoder.conv.weight, module.encoder.conv.weight)


def test_ambiguous_ratio_is_refused():
    with pytest.raises(ValueError, match='min_ratio'):
        make(Encoder(), min_ratio=0.4)
