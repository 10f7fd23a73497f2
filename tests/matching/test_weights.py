"""Published files of the matching network and of its features."""

import pytest
import torch

from dsr_nss.checkpoints import CheckpointError, load_strictly
from dsr_nss.errors import ConfigError
from dsr_nss.matching import MatchingNetwork
from dsr_nss.matching.pyramid import VGG16Pyramid
from dsr_nss.matching.weights import convert_uawarpc, convert_vgg16
from tests.matching.networks import published_matcher, tiny_network


@pytest.fixture(scope='module')
def published(shared_dir):
    return published_matcher(shared_dir)


def file_network(path, pyramid=None) -> MatchingNetwork:
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    return MatchingNetwork(pyramid=pyramid, init_cfg=init_cfg)


def save(path, state_dict):
    torch.save({'state_dict': state_dict}, path)
    return path


def test_a_published_checkpoint_fits_exactly(published, tmp_path):
    theirs = {**published.state_dict, 'backbone.x': torch.zeros(1), 'm_head.x': torch.zeros(1)}
    network = file_network(save(tmp_path / 'refign.ckpt', theirs))
    network.init_weights()
    refinement = 'alignment_head.refinement_module_adaptive'
    for ours, name in (
        (network.pyramid.features[21].weight, 'alignment_backbone.features.21.weight'),
        (network.head.decoder1.shortcut4.bn.bias, 'alignment_head.decoder1.conv2_skip.bn.bias'),
        (network.head.refinement3[6].bias, f'{refinement}.dc_convs.6.bias'),
        (
            network.head.log_variance2.predict.weight,
            'alignment_head.estimate_uncertainty_components2.predict_uncertainty_final.weight',
        ),
        (network.head.reduce.weight, 'alignment_head.reduce.weight'),
    ):
        assert torch.equal(ours, theirs[name]), name


@pytest.mark.parametrize('prefix', ['alignment_head.', ''])
def test_a_head_alone_needs_the_features(published, tmp_path, prefix):
    head = {
        name.replace('alignment_head.', prefix): value
        for name, value in published.state_dict.items()
        if name.startswith('alignment_head.')
    }
    path = save(tmp_path / 'uawarpc.ckpt', head)
    with pytest.raises(CheckpointError, match=r'the matching head alone.*vgg16-397923af.pth'):
        file_network(path).init_weights()
    vgg = {
        name.removeprefix('alignment_backbone.'): value
        for name, value in published.state_dict.items()
        if name.startswith('alignment_backbone.')
    }
    torch.save({**vgg, 'classifier.0.weight': torch.zeros(2)}, tmp_path / 'vgg16.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'vgg16.pth'))
    network = file_network(path, dict(type='VGG16Pyramid', init_cfg=start))
    network.init_weights()
    assert torch.equal(network.pyramid.features[0].weight, vgg['features.0.weight'])
    assert torch.equal(network.head.reduce.bias, head[f'{prefix}reduce.bias'])


def test_vgg16_without_what_nothing_runs(published):
    vgg = {
        name.removeprefix('alignment_backbone.'): value
        for name, value in published.state_dict.items()
        if name.startswith('alignment_backbone.')
    }
    assert {'features.24.weight', 'features.28.bias'} <= vgg.keys()
    converted = convert_vgg16({**vgg, 'classifier.0.weight': torch.zeros(2)})
    load_strictly(MatchingNetwork().pyramid, converted, 'vgg16')


@pytest.mark.parametrize('prefix', ['', 'network.', 'refinement.aligner.network.'])
def test_runs_of_this_package(prefix):
    own = tiny_network(seed=3).state_dict()
    saved = {f'{prefix}{name}': value for name, value in own.items()}
    others = {'student.head.weight': torch.zeros(1)} if prefix else {}
    converted = convert_uawarpc({**saved, **others})
    assert converted.keys() == own.keys()
    load_strictly(tiny_network(), converted, 'run')


def test_unknown_names_of_a_published_head_are_reported(published, tmp_path):
    path = save(
        tmp_path / 'other.ckpt', {**published.state_dict, 'alignment_head.extra.x': torch.zeros(1)}
    )
    with pytest.raises(CheckpointError, match='1 unknown: head.extra.x'):
        file_network(path).init_weights()


def test_a_file_of_something_else(tmp_path):
    path = save(tmp_path / 'mit.pth', {'patch_embed1.proj.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r'mit.pth: expected one matching network.*none'):
        file_network(path).init_weights()
    twice = {f'{p}head.decoder4.conv0.conv.weight': torch.zeros(1) for p in ('a.', 'b.')}
    with pytest.raises(CheckpointError, match="prefixes: 'a.', 'b.'"):
        convert_uawarpc(twice)


def test_a_missing_file(tmp_path):
    vgg = dict(type='Pretrained', checkpoint=str(tmp_path / 'vgg16.pth'))
    network = MatchingNetwork(pyramid=dict(type='VGG16Pyramid', init_cfg=vgg))
    with pytest.raises(FileNotFoundError, match=r'vgg16\.pth.*torchvision publishes'):
        network.init_weights()


def test_a_pyramid_of_a_larger_file_by_prefix(tmp_path):
    torch.manual_seed(0)
    state = {
        f'model.pyramid.{name}': torch.randn_like(value)
        for name, value in VGG16Pyramid().state_dict().items()
    }
    path = save(tmp_path / 'run.pth', {**state, 'model.head.x': torch.zeros(1)})
    start = dict(type='Pretrained', checkpoint=str(path))
    pyramid = VGG16Pyramid(init_cfg=start | dict(prefix='model.pyramid'))
    pyramid.init_weights()
    for name, value in pyramid.state_dict().items():
        assert torch.equal(value, state[f'model.pyramid.{name}']), name
    with pytest.raises(ConfigError, match='VGG16Pyramid: init_cfg must be None or'):
        VGG16Pyramid(init_cfg=start | dict(map_location='cpu')).init_weights()
