"""The matching network as an aligner: published outputs, frozen, in the adaptation."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from dsr_nss.checkpoints import CheckpointError
from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.engine.config import read_config
from dsr_nss.engine.optim_constructor import GroupedOptimWrapperConstructor
from dsr_nss.functional.warp import warp
from dsr_nss.matching import UAWarpC
from dsr_nss.models.refine import HolisticRefinement
from tests.matching.networks import published_matcher, published_network, tiny_network
from tests.models.segmentors.conftest import build, dsr_config, make_items


@pytest.fixture
def aligner(aligner_config):
    aligner = MODELS.build(aligner_config)
    aligner.init_weights()
    return aligner


def test_matches_the_published_aligner(shared_dir):
    fill = published_matcher(shared_dir).fill
    expected = np.load(shared_dir / 'reference/parity/align_vgg_180x300.npz')
    aligner = UAWarpC()
    aligner.network = published_network(shared_dir)
    alignment = aligner(
        fill.smooth_input(1, 1, 3, 180, 300),
        fill.smooth_input(2, 1, 3, 180, 300),
    )
    logits, valid = warp(fill.randn_input(4, 1, 19, 180, 300), alignment.flow)
    mask = np.unpackbits(expected['mask_bits'])[: valid.numel()].reshape(valid.shape)
    np.testing.assert_array_equal(valid.numpy(), mask.astype(bool))
    for actual, name, tolerance in (
        (alignment.flow[:, :, 1::4, 1::4], 'flow_up', 5e-3),
        (alignment.confidence[:, :, 1::2, 1::2], 'cert', 1e-4),
        (logits[:, :, 1::4, 1::4], 'warped', 5e-3),
    ):
        np.testing.assert_allclose(actual.numpy(), expected[name], rtol=0, atol=tolerance)
    assert alignment.aligned.tolist() == [True]


def test_frozen_in_eval_mode_and_without_a_graph(aligner):
    parent = torch.nn.Sequential(aligner).train()
    assert not any(module.training for module in aligner.modules())
    assert not any(parameter.requires_grad for parameter in parent.parameters())
    before = {name: value.clone() for name, value in aligner.state_dict().items()}
    night = torch.rand(2, 3, 48, 64, requires_grad=True)
    alignment = aligner(night, torch.rand(2, 3, 48, 64))
    assert not alignment.flow.requires_grad and not alignment.confidence.requires_grad
    assert alignment.flow.shape == (2, 2, 48, 64) and alignment.flow.abs().max() > 0
    assert alignment.confidence.shape == (2, 1, 48, 64)
    assert ((alignment.confidence >= 0) & (alignment.confidence <= 1)).all()
    for name, value in aligner.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_under_autocast_flow_and_confidence_are_float32(aligner):
    night, day = torch.rand(2, 1, 3, 48, 64)
    with torch.autocast('cpu', torch.bfloat16):
        alignment = aligner(night, day)
    assert alignment.flow.dtype == alignment.confidence.dtype == torch.float32


def test_samples_with_and_without_reference_in_one_batch(aligner_config):
    refinement = HolisticRefinement(
        aligner=aligner_config, class_names=CLASSES, static_classes=GROUPS['large_static']
    )
    refinement.init_weights()
    torch.manual_seed(0)
    logits, day_logits = torch.randn(2, 2, 19, 32, 48)
    night, day = torch.rand(2, 2, 3, 32, 48)
    day[1] = 0  # what the data set gives where there is no reference

    def run(*samples):
        chosen = list(samples)
        return refinement(
            logits[chosen], day_logits[chosen], night[chosen], day[chosen],
            torch.tensor([True, False])[chosen],
        )  # fmt: skip

    both, unaligned = run(0, 1)
    assert torch.equal(both[1], logits[1].softmax(dim=0))
    assert both.isfinite().all() and unaligned == 0
    alone, _ = run(0)
    torch.testing.assert_close(both[:1], alone, rtol=1e-3, atol=1e-3)
    assert (both[0] - logits[0].softmax(dim=0)).abs().max() > 0.01


def test_in_the_training_step(aligner_config):
    config = dsr_config()
    config['refinement'] = dict(config['refinement'], aligner=aligner_config)
    model = build(config)
    start = tiny_network(seed=1).state_dict()
    optim_wrapper = GroupedOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1))
    )(model)
    losses = model.train_step(make_items(), optim_wrapper)
    assert losses['unaligned_share'] == 0

    prefix = 'refinement.aligner.network.'
    saved = model.state_dict()
    own = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
    assert own.keys() == start.keys()
    assert all(torch.equal(own[name], start[name]) for name in start), (
        'neither trained nor averaged'
    )
    # once in the checkpoint, and in neither the teacher nor the optimiser
    assert [k for k in saved if 'decoder4.conv0.conv.weight' in k] == [
        prefix + 'head.decoder4.conv0.conv.weight'
    ]
    mine = {id(p) for p in model.refinement.parameters()}
    assert mine
    groups = optim_wrapper.optimizer.param_groups
    assert not mine & {id(p) for group in groups for p in group['params']}
    assert not mine & {id(p) for p in model.teacher.parameters()}


def test_the_papers_config_without_the_weights_says_what_to_do(repo_root, tmp_path, monkeypatch):
    path = repo_root / 'configs/dsr_hrda_darkzurich.py'
    monkeypatch.chdir(tmp_path)  # where there is no data/pretrained
    model = MODELS.build(read_config(path).model.refinement)
    with pytest.raises(FileNotFoundError) as error:
        model.init_weights()
    message = str(error.value)
    assert 'data/pretrained/uawarpc_megadepth.pth' in message
    assert 'python tools/convert_checkpoint.py' in message and '--as uawarpc' in message
    option = '--cfg-options model.refinement.aligner.type=Identity'
    assert option in message
    name, value = option.removeprefix('--cfg-options ').split('=')
    without = MODELS.build(read_config(path, {name: value}).model.refinement)
    without.init_weights()
    image = torch.rand(1, 3, 8, 8)
    assert (without.aligner(image, image).flow == 0).all()


def test_random_weights_are_refused():
    with pytest.raises(CheckpointError, match='aligns with trained weights: set model.refinement'):
        MODELS.build(dict(type='UAWarpC')).init_weights()
