"""AdaptableEncoderDecoder: the student's interface, and sliding windows against mmseg's own."""

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from dsr_nss.models.segmentors.adaptable import check_test_cfg
from tests.models.segmentors.networks import build_hrda, build_single_scale

SLIDE = dict(mode='slide', crop_size=(48, 64), stride=(32, 40))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build_single_scale(test_cfg=SLIDE)
    model.init_weights()
    return model


def image(*size, batch=1):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def metas(x):
    return [dict(ori_shape=tuple(x.shape[2:]), img_shape=tuple(x.shape[2:]))] * len(x)


def test_training_interface(model):
    x = image(64, 96, batch=2)
    output = model.eval().forward_train(x)
    assert output.logits.shape == (2, 19, 16, 24)
    assert output.detail_logits is None and output.detail_box is None
    for a, b in zip(output.features, model.context_features(x), strict=True):
        assert torch.equal(a, b)
    label = torch.randint(19, (2, 64, 96))
    label[0, :32] = 255
    weight = torch.rand(2, 64, 96)
    logits = F.interpolate(output.logits, (64, 96), mode='bilinear')
    expected = F.cross_entropy(logits, label, ignore_index=255, reduction='none') * weight
    torch.testing.assert_close(model.segmentation_loss(output, label, weight), expected.mean())


@pytest.mark.parametrize('size', [(70, 111), (48, 64), (48, 100), (100, 65)])
@pytest.mark.parametrize('limit', [None, 1, 3, 100])
def test_slide_inference_is_mmsegs(model, size, limit):
    """At batch 1 mmseg's own loop is the reference."""
    model.eval().test_cfg.max_windows = limit
    x = image(*size)
    with torch.no_grad():
        ours = model.inference(x, metas(x))
        theirs = EncoderDecoder.slide_inference(model, x, copy.deepcopy(metas(x)))
    assert ours.shape == (1, 19, *size)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize('build', [build_single_scale, build_hrda])
def test_slide_inference_of_batches(build):
    torch.manual_seed(0)
    model = build(test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(40, 40))).eval()
    x = image(90, 131, batch=3)
    with torch.no_grad():
        together = model.inference(x, metas(x))
        alone = torch.cat([model.inference(one[None], metas(one[None])) for one in x])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize('build', [build_single_scale, build_hrda])
@pytest.mark.parametrize('size', [(64, 96), (61, 80)])
def test_an_image_within_one_window_is_whole_inference(build, size):
    model = build(test_cfg=dict(mode='slide', crop_size=(64, 96), stride=(32, 32))).eval()
    x = image(*size, batch=2)
    with torch.no_grad():
        assert torch.equal(model.inference(x, metas(x)), model.whole_inference(x, metas(x)))


def test_windows_bound_the_batch(model):
    model.eval().test_cfg.max_windows = 5
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    with torch.no_grad():
        model.inference(image(100, 150, batch=2), metas(image(100, 150, batch=2)))
    assert max(seen) == 4 and sum(seen) == 2 * 3 * 4


@pytest.mark.parametrize('build', [build_single_scale, build_hrda])
def test_on_a_cpu_windows_pass_one_by_one_unless_batch_norms_take_batch_statistics(build):
    torch.manual_seed(0)
    model = build(test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(40, 40))).eval()
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    x = image(90, 131)
    with torch.no_grad():
        model.inference(x, metas(x))
        assert set(seen) == {1}
        windows, seen[:] = len(seen), []
        norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert norms
        for norm in norms:
            norm.train()
        model.inference(x, metas(x))
    assert seen == [windows]


def test_sums_are_float32_under_autocast(model):
    x = image(70, 111)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        logits = model.eval().inference(x, metas(x))
    assert logits.dtype == torch.float32
    # float32, not bfloat16 values in a float32 tensor
    assert not torch.equal(logits, logits.bfloat16().float())


def test_stock_loss_and_predict(model):
    x, label = image(64, 96, batch=2), torch.randint(19, (2, 64, 96))
    data = [SegDataSample(gt_sem_seg=PixelData(data=y[None]), metainfo=metas(x)[0]) for y in label]
    losses = model(x, data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert model.backbone.patch_embed1.proj.weight.grad.abs().sum() > 0
    with torch.no_grad():
        result = model.eval()(x, data, mode='predict')[0]
    assert result.pred_sem_seg.data.shape == (1, 64, 96)


def test_stock_loss_is_the_segmentation_loss(model):
    """mmseg's default cross-entropy also divides by all pixels."""
    model.eval()
    x, label = image(64, 96, batch=2), torch.randint(19, (2, 64, 96))
    label[:, 40:] = 255
    data = [SegDataSample(gt_sem_seg=PixelData(data=y[None]), metainfo=metas(x)[0]) for y in label]
    stock = model.loss(x, data)['decode.loss_ce']
    torch.testing.assert_close(stock, model.segmentation_loss(model.forward_train(x), label))


@pytest.mark.parametrize(
    'test_cfg, message',
    [
        (dict(mode='slidee'), "'whole' or 'slide', got 'slidee'"),
        (dict(mode='slide', stride=(1, 1)), 'crop_size must be two positive'),
        (dict(mode='slide', crop_size=(64, 64), stride=(65, 64)), 'would get no prediction'),
        (dict(mode='slide', crop_size=64, stride=(64, 64)), 'crop_size must be two positive'),
        (dict(max_windows=0), 'max_windows must be at least 1'),
        (dict(max_window=4), r"unknown fields \['max_window'\]"),
    ],
)
def test_bad_test_cfg(test_cfg, message):
    with pytest.raises(ValueError, match=message):
        check_test_cfg(test_cfg)
