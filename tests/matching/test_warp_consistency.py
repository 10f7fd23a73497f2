"""A training step of the matching network: its geometry, its losses, what it trains and saves."""

import math

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS

from dsr_nss.checkpoints import CheckpointError
from dsr_nss.functional.warp import warp
from dsr_nss.matching import UAWarpC
from dsr_nss.matching.head import FlowEstimate
from dsr_nss.matching.losses import at_level
from dsr_nss.visualization.panels import training_panel
from tests.matching.networks import TINY
from tests.matching.test_pairs import collated
from tests.simulated_cuda import simulated_cuda

CROP = (32, 48)
FULL = (48, 70)


def build(seed=0, **fields):
    torch.manual_seed(seed)
    config = dict(type='WarpConsistency', crop_size=CROP, pyramid=TINY)
    return MODELS.build({**config, **fields}).train()


def batch(*has_reference):
    return collated(list(has_reference), size=FULL)


def step(model, data, seed=0, lr=1e-3):
    trained = [p for p in model.parameters() if p.requires_grad]
    wrapper = OptimWrapper(torch.optim.Adam(trained, lr=lr))
    torch.manual_seed(seed)
    return {k: v.item() for k, v in model.train_step(data, wrapper).items()}


def test_a_step_trains_the_head_and_leaves_the_features():
    model = build(appearance=dict(type='AppearanceChange'))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    numbers = step(model, batch(True, False))
    assert set(numbers) == {
        'loss', 'loss_warp_supervision', 'loss_bipath', 'warp_epe', 'zero_epe',
        'warp_confidence', 'visible_share', 'pair_confidence',
    }  # fmt: skip
    assert all(math.isfinite(value) for value in numbers.values())
    for name, value in model.state_dict().items():
        changed = not torch.equal(value, before[name])
        assert changed == (name == 'step' or name.startswith('network.head.')), name
    assert model.network.head.training and not model.network.pyramid.training


def test_features_are_trained_when_told():
    model = build(train_pyramid=True)
    before = model.network.pyramid.backbone.stages[0].weight.clone()
    step(model, batch(True))
    assert not torch.equal(model.network.pyramid.backbone.stages[0].weight, before)
    assert model.network.pyramid.training


def test_every_weight_of_the_head_takes_part_without_any_reference():
    model = build()
    losses = model(*model.data_preprocessor(batch(False, False)))
    assert 'loss_bipath' not in losses and 'visible_share' not in losses
    losses['loss_warp_supervision'].backward()
    for name, parameter in model.network.head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_seed_decides_the_step_and_an_unused_reference_does_not():
    data = batch(False, False)
    first = step(build(), data)
    data['reference'] = 255 - data['reference']
    assert step(build(), data) == first
    assert step(build(), data, seed=1) != first


def test_the_cropped_view_is_the_cropped_target_after_the_cropped_flow():
    model = build()
    y, x = torch.meshgrid(torch.arange(FULL[0]), torch.arange(FULL[1]), indexing='ij')
    target = torch.stack((x / FULL[1], y / FULL[0], (x + y) / sum(FULL)))[None].float()
    torch.manual_seed(3)
    synthetic, flow, valid = model._synthetic_view(target, model.warps(1, FULL))
    assert synthetic.shape == (1, 3, *CROP) and flow.shape == (1, 2, *CROP)
    again, inside = warp(model._crop(target), flow)
    assert inside.float().mean() > 0.3
    seen = inside & valid
    difference = (again - synthetic).abs().amax(dim=1)[seen]
    assert difference.max() < 1e-4
    assert valid.dtype == torch.bool and valid.shape == (1, *CROP)


def perfect(model, monkeypatch, shift):
    """A matcher that is right: `J` is `I` shifted by `shift` pixels to the left."""

    def match(synthetic, target, reference, paired):
        flow, valid = model.drawn
        levels = []
        for size in ((16, 16), (32, 32), (4, 6), (8, 12)):
            there, _ = at_level(flow, valid, size)
            moved = torch.zeros_like(there[paired])
            moved[:, 0] = shift
            zero = torch.zeros(len(there), 1, *size)
            levels.append(
                (
                    FlowEstimate(there, zero),
                    FlowEstimate(there[paired] - moved, zero[paired]),
                    FlowEstimate(moved, zero[paired]),
                )
            )
        return tuple(list(direction) for direction in zip(*levels, strict=True))

    view = model._synthetic_view

    def remember(target, flow):
        synthetic, flow, valid = view(target, flow)
        model.drawn = flow, valid
        return synthetic, flow, valid

    monkeypatch.setattr(model, '_synthetic_view', remember)
    monkeypatch.setattr(model, '_match', match)


def test_a_perfect_matcher_reaches_the_minimum(monkeypatch):
    model = build(balance_terms=False, visibility_mask=True, level_weights=(0.5, 1, 1, 2))
    perfect(model, monkeypatch, shift=2.0)
    losses = model(*model.data_preprocessor(batch(True, True)))
    minimum = 4.5 * 2 * math.log(2 * math.pi) / 2
    assert losses['loss_warp_supervision'].item() == pytest.approx(minimum, rel=1e-5)
    # two errors of one squared pixel add up: log 2 more a level
    assert losses['loss_bipath'].item() == pytest.approx(minimum + 4.5 * math.log(2), rel=1e-4)
    assert losses['warp_epe'].item() == 0 and losses['zero_epe'].item() > 1
    confidence = 1 - math.exp(-0.5)
    assert losses['warp_confidence'].item() == pytest.approx(confidence, rel=1e-5)
    assert 0.3 < losses['visible_share'].item() <= 1


def test_weights_and_balance_of_the_terms():
    plain = build(balance_terms=False)
    data = batch(True)
    once = step(plain, data)
    weighted = step(
        build(balance_terms=False, bipath_weight=3.0, warp_supervision_weight=0.5), data
    )
    assert weighted['loss_bipath'] == pytest.approx(3 * once['loss_bipath'], rel=1e-4)
    assert weighted['loss_warp_supervision'] == pytest.approx(
        0.5 * once['loss_warp_supervision'], rel=1e-4
    )
    balanced = step(build(), data)
    larger = max(once['loss_bipath'], once['loss_warp_supervision'])
    assert balanced['loss_bipath'] == pytest.approx(larger, rel=1e-4)
    assert balanced['loss_warp_supervision'] == pytest.approx(larger, rel=1e-4)


def test_the_bipath_begins_when_told_also_after_a_break():
    model, data = build(bipath_start=3), batch(True)
    losses = [step(model, data) for _ in range(2)]
    assert not any('loss_bipath' in numbers for numbers in losses)
    resumed = build(seed=1, bipath_start=3)
    resumed.load_state_dict(model.state_dict())
    for each in (model, resumed):
        assert 'loss_bipath' in step(each, data)


def test_target_and_reference_change_places():
    model = build(exchange_probability=1.0)
    pairs = model.data_preprocessor(batch(True, False, True))
    exchanged = model._exchange(pairs)
    assert torch.equal(exchanged.target[[0, 2]], pairs.reference)
    assert torch.equal(exchanged.reference, pairs.target[[0, 2]])
    assert torch.equal(exchanged.target[1], pairs.target[1])
    model.exchange_probability = 0.0
    assert torch.equal(model._exchange(pairs).target, pairs.target)


def test_directions_of_a_batch_are_those_of_the_single_pairs():
    model = build().eval()
    pairs = model.data_preprocessor(collated([True, False, True], size=CROP))
    synthetic = pairs.target.flip(3)
    with torch.no_grad():
        to_target, to_reference, back = model._match(
            synthetic, pairs.target, pairs.reference, pairs.paired
        )
        for directions, views in (
            (to_target, (synthetic, pairs.target)),
            (to_reference, (synthetic[[0, 2]], pairs.reference)),
            (back, (pairs.reference, pairs.target[[0, 2]])),
        ):
            expected = model.network(*views)
            for actual, wanted in zip(directions, expected, strict=True):
                torch.testing.assert_close(actual.flow, wanted.flow, rtol=1e-4, atol=1e-3)
                torch.testing.assert_close(
                    actual.log_variance, wanted.log_variance, rtol=1e-4, atol=1e-3
                )


@pytest.mark.parametrize('paired, rows', [((True, False), 1), ((False, False), 2)])
def test_a_step_shows_what_it_saw(paired, rows):
    model = build()
    step(model, batch(*paired))
    assert model.panel is None
    model.want_panel = True
    step(model, batch(*paired))
    assert list(model.panel) == [
        'target_image', 'matched_image', 'synthetic_image', 'warped_image', 'confidence',
    ]  # fmt: skip
    assert all(len(v) == rows and v.shape[2:] == CROP for v in model.panel.values())
    assert not any(v.requires_grad for v in model.panel.values())
    preprocessor = model.data_preprocessor
    picture = training_panel(model.panel, preprocessor.mean, preprocessor.std, ())
    assert picture.dtype == np.uint8 and picture.shape[0] > rows * CROP[0]


def test_a_checkpoint_loads_into_the_aligner_and_into_the_next_stage(tmp_path):
    model = build()
    step(model, batch(True))
    path = tmp_path / 'iter_1.pth'
    torch.save({'state_dict': model.state_dict(), 'meta': {'iter': 1}}, path)
    start = dict(type='Pretrained', checkpoint=str(path))
    aligner = UAWarpC(init_cfg=start, pyramid=TINY)
    aligner.init_weights()
    night, day = torch.rand(2, 1, 3, *CROP)
    expected = model.eval().network(night, day)[-1].flow
    torch.testing.assert_close(aligner.network(night, day)[-1].flow, expected)
    following = build(seed=9, init_cfg=start, visibility_mask=True)
    following.init_weights()
    for name, value in model.state_dict().items():
        if name != 'step':  # a new stage counts its own
            assert torch.equal(following.state_dict()[name], value), name


def test_under_autocast_the_losses_stay_in_float32():
    model = build()
    pairs = model.data_preprocessor(batch(True))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(*pairs)
    assert all(v.dtype == torch.float32 and v.isfinite() for v in losses.values())
    sum(v for k, v in losses.items() if k.startswith('loss')).backward()


def test_random_features_do_not_stay_random_unnoticed():
    with pytest.raises(CheckpointError, match='features would stay at random weights'):
        build(pyramid=dict(type='VGG16Pyramid')).init_weights()
    encoder = dict(type='MiT')  # in channels_last like any other
    with pytest.raises(CheckpointError, match='features would stay at random weights'):
        build(pyramid=dict(type='BackbonePyramid', backbone=encoder)).init_weights()
    pyramid = dict(type='BackbonePyramid', backbone=encoder)
    build(pyramid=pyramid, train_pyramid=True).init_weights()


def test_what_does_not_fit():
    with pytest.raises(ValueError, match=r'crop_size 32x48 is larger than the images, 8x10'):
        model = build()
        model(*model.data_preprocessor(collated([True])))
    with pytest.raises(ValueError, match='one weight a level'):
        build(level_weights=(1.0, 1.0))
    with pytest.raises(ValueError, match='only trains'):
        model(*model.data_preprocessor(batch(True)), mode='predict')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA GPU')
def test_the_host_never_waits_for_the_device():
    model = build(
        appearance=dict(type='AppearanceChange', blur_probability=1.0),
        warps=dict(type='SyntheticWarps', elastic_probability=1.0),
        visibility_mask=True,
    ).cuda()
    trained = [p for p in model.parameters() if p.requires_grad]
    wrapper = OptimWrapper(torch.optim.Adam(trained, lr=1e-4))
    model.train_step(batch(True, False), wrapper)
    torch.cuda.set_sync_debug_mode('error')
    try:
        model.train_step(batch(True, False), wrapper)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('half', [None, torch.bfloat16, torch.float16])
def test_on_a_simulated_gpu_nothing_waits(monkeypatch, half):
    model = build(
        appearance=dict(type='AppearanceChange', blur_probability=1.0),
        warps=dict(type='SyntheticWarps', elastic_probability=1.0),
        visibility_mask=True,
    )
    with simulated_cuda(monkeypatch) as cuda:
        model.to('cuda')
        cuda.waits.clear()
        with torch.autocast('cuda', half, enabled=half is not None):
            losses = model(*model.data_preprocessor(batch(True, False)))
        assert cuda.waits == {}
        assert all(v.is_cuda and v.dtype == torch.float32 for v in losses.values())


@pytest.mark.slow
def test_the_loss_falls():
    model = build(train_pyramid=True)
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    torch.manual_seed(0)
    losses = [model.train_step(batch(False), wrapper)['loss'].item() for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])
