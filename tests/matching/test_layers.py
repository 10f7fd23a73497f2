"""Decoders, refinement and log-variance: shapes, chunks."""

import pytest
import torch

from dsr_nss.matching import layers
from dsr_nss.matching.layers import FlowDecoder, FlowRefinement, LogVariance


def test_decoder_by_its_equations():
    torch.manual_seed(0)
    decoder = FlowDecoder(5).eval()
    x = torch.randn(2, 5, 6, 7)

    def leaky(v):
        return torch.where(v > 0, v, 0.1 * v)

    first = decoder.conv0.bn(decoder.conv0.conv(x))
    second = leaky(decoder.conv1.bn(decoder.conv1.conv(leaky(first))))
    middle = decoder.conv2.bn(decoder.conv2.conv(second))
    middle = middle + decoder.shortcut2.bn(decoder.shortcut2.conv(first))
    fourth = leaky(decoder.conv3.bn(decoder.conv3.conv(leaky(middle))))
    last = decoder.conv4.bn(decoder.conv4.conv(fourth))
    last = leaky(last + decoder.shortcut4.bn(decoder.shortcut4.conv(middle)))
    flow, features = decoder(x)
    torch.testing.assert_close(features, last)
    torch.testing.assert_close(flow, decoder.predict(last))
    assert decoder.conv0.conv.bias is None and decoder.predict.bias is not None


def test_refinement_sees_far():
    """Dilations 1, 2, 4, 8, 16, 1 and the last convolution: 33 pixels to every side."""
    refinement = FlowRefinement().eval()
    x = torch.zeros(1, 32, 1, 81, requires_grad=True)
    refinement(x)[0, 0, 0, 40].backward()
    seen = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert (seen.min(), seen.max()) == (7, 73)


@pytest.mark.parametrize('size, coarser', [(16, 0), (9, 3)])
def test_log_variance_of_one_position_reads_its_own_correlation(size, coarser):
    torch.manual_seed(0)
    module = LogVariance(size, coarser).eval()
    correlation = torch.rand(2, size * size, 5, 4)
    features = torch.rand(2, 32, 5, 4)
    extra = torch.rand(2, coarser, 5, 4) if coarser else None
    assert module(correlation, features, extra).shape == (2, 1, 5, 4)
    peaks = module._peaks(correlation)
    picture = correlation[1, :, 3, 2].view(1, 1, size, size)
    torch.testing.assert_close(peaks[1, :, 3, 2], module.peak(picture).flatten())


def test_log_variance_in_chunks_is_the_same(monkeypatch):
    torch.manual_seed(0)
    module = LogVariance(9, 0)
    correlation, features = torch.rand(2, 81, 6, 5), torch.rand(2, 32, 6, 5)
    calls = []
    module.peak.register_forward_hook(lambda m, inputs, output: calls.append(len(inputs[0])))
    monkeypatch.setattr(layers, 'CHUNK', 7)
    module.eval()
    whole = module(correlation, features)
    with torch.no_grad():
        chunked = module(correlation, features)
    torch.testing.assert_close(chunked, whole)
    assert calls == [60, *[7] * 8, 4]
    # in training the batch norms need all positions at once
    module.train()(correlation, features)
    assert calls[-1] == 60


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match='9 .local. or 16 .global., got 7'):
        LogVariance(7, 0)
