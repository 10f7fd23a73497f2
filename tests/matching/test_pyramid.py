"""Feature pyramids: published features, strides, normalisation."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.matching import BackbonePyramid, VGG16Pyramid
from tests.matching.networks import TINY


def test_vgg16_matches_the_published_features(shared_dir, published, published_network):
    expected = np.load(shared_dir / 'reference/parity/vgg16_features.npz')
    maps = published_network.pyramid(published.fill.smooth_input(1, 1, 3, 256, 512))
    assert [tuple(m.shape[1:]) for m in maps] == [(128, 64, 128), (256, 32, 64), (512, 16, 32)]
    for level, features in enumerate(maps):
        actual = features[:, ::8, ::2, ::2].numpy()
        np.testing.assert_allclose(actual, expected[f'f{level}'], rtol=0, atol=1e-5)


def test_vgg16_is_torchvisions():
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    theirs, ours = make_layers(cfgs['D']).eval(), VGG16Pyramid().eval()
    ours.features.load_state_dict(theirs[:24].state_dict())
    image = torch.rand(1, 3, 50, 70)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    x = (image - mean) / std
    with torch.no_grad():
        for features, end in zip(ours(image), (10, 17, 24), strict=True):
            torch.testing.assert_close(features, theirs[:end](x), rtol=1e-4, atol=1e-5)


def test_vgg16_stops_at_the_level_asked_for():
    pyramid = VGG16Pyramid()
    ran = []
    pyramid.features[17].register_forward_hook(lambda *_: ran.append(True))  # of the third map
    image = torch.rand(1, 3, 33, 47)
    two, three = pyramid(image, levels=2), pyramid(image)
    assert len(ran) == 1
    assert [m.shape[2:] for m in three] == [(8, 11), (4, 5), (2, 2)]
    assert all(torch.equal(a, b) for a, b in zip(two, three[:2], strict=True))


def test_backbone_pyramid_normalises_and_leaves_out():
    pyramid = BackbonePyramid(dict(type='TinyEncoder'), mean=(10, 20, 30), std=(2, 4, 8))
    image = torch.rand(2, 3, 35, 64)
    normalised = torch.stack(
        [(image[:, i] * 255 - m) / s for i, (m, s) in enumerate(((10, 2), (20, 4), (30, 8)))], 1
    )
    expected = pyramid.backbone(normalised)
    for levels in (2, 3):
        maps = pyramid(image, levels=levels)
        assert len(maps) == levels
        for a, b in zip(maps, expected, strict=False):
            torch.testing.assert_close(a, b)


def test_efficientnet_fits():
    pyramid = BackbonePyramid(dict(type='EfficientNetLite0', pretrained=False)).eval()
    maps = pyramid(torch.rand(1, 3, 61, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 16, 24), (40, 8, 12), (112, 4, 6)]


@MODELS.register_module()
class StrideTwo(nn.Module):
    def forward(self, image):
        return [image[..., ::2, ::2], image[..., ::4, ::4], image[..., ::8, ::8]]


def test_an_encoder_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r'StrideTwo: map 0 of an image of \(32, 32\) is \(16, 16'):
        BackbonePyramid(dict(type='StrideTwo'))(torch.rand(1, 3, 32, 32))
    short = dict(TINY, backbone=dict(type='TinyEncoder', widths=(4, 4)))
    with pytest.raises(ValueError, match='gives 2 maps, matching needs 3'):
        MODELS.build(short)(torch.rand(1, 3, 32, 32))
