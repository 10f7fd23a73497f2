"""The matching network: published outputs, sizes, batches, training."""

import numpy as np
import pytest
import torch

from dsr_nss.matching import MatchingNetwork
from tests.matching.networks import tiny_network


def test_matches_the_published_network(shared_dir, published, published_network):
    parity = shared_dir / 'reference/parity'
    expected = np.load(parity / 'align_vgg_180x300.npz')
    debug = np.load(parity / 'align_vgg_180x300_debug.npz')
    correlations = {}
    hooks = [
        getattr(published_network.head, f'decoder{level}').register_forward_pre_hook(
            lambda module, inputs, level=level: correlations.__setitem__(level, inputs[0])
        )
        for level in (4, 3, 2, 1)
    ]
    target = published.fill.smooth_input(1, 1, 3, 180, 300)
    day = published.fill.smooth_input(2, 1, 3, 180, 300)
    estimates = published_network(target, day)
    for hook in hooks:
        hook.remove()
    for level, estimate in zip((4, 3, 2, 1), estimates, strict=True):
        for actual, name, tolerance in (
            (estimate.flow, 'flow', 5e-3),
            (estimate.log_variance, 'unc', 1e-3),
        ):
            np.testing.assert_allclose(
                actual.numpy(), expected[f'{name}{level}'], rtol=0, atol=tolerance
            )
    local = {3: debug['lcorr3'], 2: debug['lcorr2'], 1: debug['lcorr1']}
    np.testing.assert_allclose(correlations[4].numpy(), debug['gcorr'], rtol=0, atol=1e-5)
    for level, values in local.items():
        step = 2 if level == 3 else 4
        actual = correlations[level][:, :81, ::step, ::step].numpy()
        np.testing.assert_allclose(actual, values, rtol=0, atol=1e-4)


@pytest.mark.parametrize('size', [(64, 96), (97, 131), (16, 300)])
def test_sizes_of_the_levels(size):
    network = tiny_network().eval()
    with torch.no_grad():
        estimates = network(torch.rand(1, 3, *size), torch.rand(1, 3, *size))
    up = [tuple(-(-side // stride) for side in size) for stride in (8, 4)]
    for estimate, (height, width) in zip(estimates, [(16, 16), (32, 32), *up], strict=True):
        assert estimate.flow.shape == (1, 2, height, width)
        assert estimate.log_variance.shape == (1, 1, height, width)


def test_a_batch_is_its_samples_one_by_one():
    network = tiny_network().eval()
    target, day = torch.rand(2, 3, 3, 72, 88)
    with torch.no_grad():
        together = network(target, day)
        for i in range(3):
            alone = network(target[i : i + 1], day[i : i + 1])
            for a, b in zip(together, alone, strict=True):
                torch.testing.assert_close(a.flow[i : i + 1], b.flow, rtol=1e-4, atol=1e-3)
                torch.testing.assert_close(
                    a.log_variance[i : i + 1], b.log_variance, rtol=1e-4, atol=1e-4
                )


def test_features_are_reused_for_several_pairs():
    """What training does: three images, each encoded once."""
    network = tiny_network().eval()
    images = torch.rand(3, 1, 3, 64, 64)
    with torch.no_grad():
        first, second, third = map(network.extract, images)
        for pair, features in (((0, 1), (first, second)), ((2, 1), (third, second))):
            expected = network(images[pair[0]], images[pair[1]])[-1].flow
            assert torch.equal(network.head(*features, (64, 64))[-1].flow, expected)


def test_every_parameter_learns():
    network = tiny_network().train()
    before = network.head.decoder1.conv0.bn.running_mean.clone()
    estimates = network(torch.rand(2, 3, 64, 80), torch.rand(2, 3, 64, 80))
    loss = sum(e.flow.square().mean() + e.log_variance.square().mean() for e in estimates)
    loss.backward()
    unused = 'pyramid.backbone.stages.3'  # the map that matching does not read
    for name, parameter in network.named_parameters():
        if name.startswith(unused):
            continue
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name
    assert not torch.equal(network.head.decoder1.conv0.bn.running_mean, before)


def test_vgg_is_the_default_and_starts_random():
    network = MatchingNetwork()
    network.init_weights()
    image = torch.rand(1, 3, 64, 64)
    quarter, _ = network.pyramid(image, levels=2)
    assert 0.05 < quarter.std() < 20, 'the scale neither vanishes nor explodes'


def test_what_does_not_fit_is_refused():
    network = tiny_network()
    with pytest.raises(ValueError, match=r'one size, got \(1, 3, 64, 64\) and \(1, 3, 64, 32\)'):
        network(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 32))
    with pytest.raises(ValueError, match='at least 16 pixels a side, got 15x64'):
        network(torch.rand(1, 3, 15, 64), torch.rand(1, 3, 15, 64))
