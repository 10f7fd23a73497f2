"""HRDAEncoderDecoder: the student's interface and mmseg's."""

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from dsr_nss.functional.windows import crop
from dsr_nss.models.batch_norm import running_norms
from dsr_nss.models.segmentors.hrda import shrink
from tests.models.segmentors.networks import build_hrda, head_config, hrda_head_config


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build_hrda()
    model.init_weights()
    return model


def image_and_label(height=64, width=96, batch=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(batch, 3, height, width, generator=generator, dtype=dtype)
    label = torch.randint(19, (batch, height, width), generator=generator)
    label[:, :8] = 255
    return image, label


def samples(label):
    meta = dict(ori_shape=tuple(label.shape[1:]), img_shape=tuple(label.shape[1:]))
    return [
        SegDataSample(gt_sem_seg=PixelData(data=one[None]), metainfo=dict(meta)) for one in label
    ]


def test_output_in_training(model):
    image, _ = image_and_label()
    output = model.forward_train(image)
    assert output.logits.shape == (2, 19, 16, 24)
    assert output.detail_logits.shape == (2, 19, 8, 12)
    top, bottom, left, right = output.detail_box
    assert (bottom - top, right - left) == (32, 48)
    assert [x.shape for x in output.features] == [
        (2, 32, 8, 12), (2, 64, 4, 6), (2, 160, 2, 3), (2, 256, 1, 2)
    ]  # fmt: skip


def test_box_follows_torchs_seed(model):
    image, _ = image_and_label(256, 256, 1)
    boxes = []
    for seed in (0, 0, 1, 2, 3):
        torch.manual_seed(seed)
        boxes.append(model.eval().forward_train(image).detail_box)
    assert boxes[0] == boxes[1]
    assert len(set(boxes)) > 2


def test_features_of_training_are_the_context_features(model):
    model.eval()
    image, _ = image_and_label()
    for a, b in zip(
        model.forward_train(image).features, model.context_features(image), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_outside_of_the_box_the_context_stands_alone(model):
    """Outside, attention is zero, so the fused logits are the context's, upsampled."""
    model.eval()
    image, _ = image_and_label(128, 128, 1)
    output = model.forward_train(image)
    context = model.decode_head.head(model.context_features(image))
    upsampled = F.interpolate(context, scale_factor=2, mode='bilinear')
    far = torch.ones(32, 32, dtype=torch.bool)
    top, bottom, left, right = (edge // 4 for edge in output.detail_box)
    # One cell of the attention, two of the fused grid, is where the interpolation reaches.
    far[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = False
    assert far.any() and not far.all()
    difference = (output.logits - upsampled).abs().amax((0, 1))
    assert difference[far].max() < 1e-5
    assert difference[~far].max() > 1e-3


def test_loss_is_the_weighted_sum_of_both(model):
    image, label = image_and_label()
    weight = torch.rand(label.shape)
    output = model.forward_train(image)
    box = output.detail_box
    expected = 0.0
    for share, logits, target, pixels in (
        (0.9, output.logits, label, weight),
        (0.1, output.detail_logits, crop(label, box), crop(weight, box)),
    ):
        logits = F.interpolate(logits, target.shape[1:], mode='bilinear')
        picked = F.log_softmax(logits, 1).gather(1, target.clamp(max=18)[:, None])[:, 0]
        expected = expected + share * (-picked * pixels * (target != 255)).sum() / target.numel()
    torch.testing.assert_close(model.segmentation_loss(output, label, weight), expected)


def test_both_losses_reach_the_encoder(model):
    image, label = image_and_label()
    first = model.backbone.patch_embed1.proj.weight
    attention = model.decode_head.scale_attention.conv_seg.weight
    for share, attention_learns in ((0.0, True), (1.0, False)):
        model.zero_grad(set_to_none=True)
        model.decode_head.detail_loss_weight = share
        model.segmentation_loss(model.forward_train(image), label).backward()
        assert first.grad.abs().sum() > 0
        learned = attention.grad is not None and bool(attention.grad.abs().sum() > 0)
        assert learned is attention_learns


def test_scales_share_the_statistics_of_the_norms(model):
    """One pass of the head over both scales: its norms count one batch, and the attention's too."""
    model.train().forward_train(image_and_label()[0])
    head, attention = model.decode_head.head, model.decode_head.scale_attention
    assert head.fuse_layer.bottleneck.bn.num_batches_tracked == 1
    assert attention.fuse_layer.bn.num_batches_tracked == 1


@pytest.mark.parametrize('size', [(64, 96), (67, 95), (90, 121), (57, 58)])
def test_any_size(model, size):
    model.eval()
    image, label = image_and_label(*size, batch=1)
    with torch.no_grad():
        logits = model.encode_decode(image)
        loss = model.segmentation_loss(model.forward_train(image), label)
    assert logits.shape == (1, 19, *size)
    assert logits.isfinite().all() and loss.isfinite()


def test_too_small_an_image_is_named(model):
    with pytest.raises(ValueError, match='too small'):
        model.encode_decode(torch.zeros(1, 3, 48, 96))


def test_chunks_change_nothing(model):
    model.eval()
    image, _ = image_and_label(96, 128)
    with torch.no_grad():
        model.test_cfg.max_windows = 100
        together = model.encode_decode(image)
        model.test_cfg.max_windows = 3
        in_chunks = model.encode_decode(image)
    torch.testing.assert_close(together, in_chunks, rtol=0, atol=1e-5)


def test_windows_pass_together_where_norms_take_statistics_of_them(model):
    image, _ = image_and_label()
    assert model.eval().windows_at_once(image) == 1
    norms = running_norms(model)
    for norm in norms:  # as those of a teacher with teacher_bn='target'
        norm.follow_inputs = True
    assert model.windows_at_once(image) is None
    model.train()
    assert norms and model.windows_at_once(image) is None


def test_chunks_bound_the_batch(model):
    model.eval()
    model.test_cfg.max_windows = 3
    seen = []
    for module in (model.backbone, model.decode_head.head.conv_seg):
        module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    with torch.no_grad():
        model.encode_decode(image_and_label()[0])
    assert max(seen) == 3 and sum(seen) == 2 * 2 * (1 + 9)


def test_windows_without_overlap(model):
    model.eval().decode_head.detail_stride = 1.0
    image, _ = image_and_label(64, 64, 1)
    assert len(model.decode_head.detail_boxes((64, 64))) == 4
    head = model.decode_head
    with torch.no_grad():
        context = model.context_features(image)
        attention, coarse = head.attend(context), head.head(context)
        quarters = [
            head.head(model.extract_feat(image[:, :, top : top + 32, left : left + 32]))
            for top in (0, 32)
            for left in (0, 32)
        ]
        detail = torch.cat([torch.cat(quarters[:2], 3), torch.cat(quarters[2:], 3)], 2)
        double = torch.nn.Upsample(scale_factor=2, mode='bilinear')
        expected = double(attention) * detail + double((1 - attention) * coarse)
        torch.testing.assert_close(model(image), expected, rtol=0, atol=1e-5)


def test_images_of_a_batch_do_not_mix(model):
    model.eval()
    image, _ = image_and_label(72, 88, 3)
    with torch.no_grad():
        together = model.encode_decode(image)
        alone = torch.cat([model.encode_decode(one[None]) for one in image])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_stock_loss(model):
    image, label = image_and_label()
    losses = model(image, samples(label), mode='loss')
    assert set(losses) == {'decode.loss_ce', 'decode.acc_seg'}
    total, _ = model.parse_losses(losses)
    total.backward()
    torch.manual_seed(5)
    expected = model.eval().segmentation_loss(model.forward_train(image), label)
    torch.manual_seed(5)
    assert model.loss(image, samples(label))['decode.loss_ce'] == expected


def test_stock_predict(model):
    image, label = image_and_label()
    with torch.no_grad():
        results = model.eval()(image, samples(label), mode='predict')
    assert results[0].pred_sem_seg.data.shape == (1, 64, 96)
    assert torch.equal(results[1].seg_logits.data.argmax(0), results[1].pred_sem_seg.data[0])


def test_state_dict_round_trip_and_copy(model):
    image, _ = image_and_label()
    model.eval()
    other = build_hrda().eval()
    other.load_state_dict(model.state_dict(), strict=True)
    twin = copy.deepcopy(model)
    assert twin.decode_head.head.conv_seg.weight is not model.decode_head.head.conv_seg.weight
    with torch.no_grad():
        assert torch.equal(model(image), other(image))
        assert torch.equal(model(image), twin(image))
    prefixes = {'.'.join(name.split('.')[:2]) for name in model.state_dict() if 'head' in name}
    assert prefixes == {'decode_head.head', 'decode_head.scale_attention'}


def test_autocast(model):
    image, label = image_and_label()
    model.eval()
    with torch.autocast('cpu', torch.bfloat16):
        torch.manual_seed(0)
        output = model.forward_train(image)
        loss = model.segmentation_loss(output, label)
        logits = model.encode_decode(image)
        attention = model.decode_head.attend(output.features)
    loss.backward()
    assert attention.dtype == torch.float32
    assert not torch.equal(attention, attention.bfloat16().float())
    assert output.detail_logits.dtype == torch.bfloat16
    assert output.logits.dtype == logits.dtype == loss.dtype == torch.float32
    torch.manual_seed(0)
    exact = model.segmentation_loss(model.forward_train(image), label)
    torch.testing.assert_close(loss, exact, rtol=0.02, atol=0)


def test_gradient_in_float64(model):
    """The analytic gradient of the loss against a central difference along a random direction."""
    model.double().eval()
    image, label = image_and_label(64, 64, 1, torch.float64)

    def loss():
        torch.manual_seed(3)
        return model.segmentation_loss(model.forward_train(image), label)

    parameters = [p for p in model.parameters()]
    gradients = torch.autograd.grad(loss(), parameters)
    directions = [torch.randn_like(p) for p in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    values = []
    with torch.no_grad():
        for step in (1e-6, -2e-6):
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter += step * direction
            values.append(loss())
    torch.testing.assert_close(slope, (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-7)


def test_context_is_half_the_image():
    assert shrink(torch.zeros(1, 3, 67, 90)).shape == (1, 3, 34, 45)
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(shrink(image), F.avg_pool2d(image, 2))


def test_other_heads_are_refused():
    backbone = dict(type='MiT', arch='b0')
    with pytest.raises(ValueError, match='needs an HRDAHead, got DAFormerHead'):
        MODELS.build(dict(type='HRDAEncoderDecoder', backbone=backbone, decode_head=head_config()))
    with pytest.raises(ValueError, match='auxiliary_head'):
        MODELS.build(
            dict(
                type='HRDAEncoderDecoder',
                backbone=backbone,
                decode_head=hrda_head_config(),
                auxiliary_head=head_config(),
            )
        )
