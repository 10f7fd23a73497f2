"""Encoders of timm inside segmentors and the training step."""

import functools

import pytest
import timm
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS

from dsr_nss.classes import CLASSES
from tests.models.segmentors.conftest import HEAD, build, dsr_config, make_items

TOKENS = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(type='TimmViT', model_name='test_vit'),
    decode_head=dict(type='LightHead', in_channels=64, num_classes=19),
)
PYRAMID = dict(type='TimmConvNeXt', model_name='test_convnext')
WIDTHS = [24, 32, 48, 64]


@pytest.mark.parametrize('kind', ['AdaptableEncoderDecoder', 'HRDAEncoderDecoder'])
def test_a_pyramid_trains_under_the_heads_of_daformer_and_hrda(kind):
    head = dict(HEAD, in_channels=WIDTHS)
    if kind == 'HRDAEncoderDecoder':
        attention = dict(head, fusion='conv1x1')
        head = dict(type='HRDAHead', head=head, scale_attention=attention)
    student = build(dict(type=kind, backbone=PYRAMID, decode_head=head))
    image = torch.randn(2, 3, 64, 64)
    output = student.forward_train(image)
    assert output.logits.shape == (2, 19, 16, 16)
    sides = [64 // (4 * 2**i) // (2 if kind == 'HRDAEncoderDecoder' else 1) for i in range(4)]
    assert [tuple(x.shape) for x in output.features] == [
        (2, width, side, side) for width, side in zip(WIDTHS, sides, strict=True)
    ]
    student.segmentation_loss(output, torch.randint(0, 19, (2, 64, 64))).backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(p.grad.any() for p in student.backbone.timm_model.stem.parameters())
    assert student.eval()(image, mode='tensor').shape[:2] == (2, 19)


def test_a_compiled_encoder_gives_the_same_maps_and_gradients(monkeypatch):
    """Whole or in part hidden, as a step with token masks sees it; without a graph break."""
    monkeypatch.setattr(timm, 'create_model', functools.partial(timm.create_model, depth=2))
    plain, compiled = (MODELS.build(TOKENS['backbone']).train() for _ in range(2))
    with torch.no_grad():
        plain.mask_token.normal_()
    compiled.load_state_dict(plain.state_dict())
    compiled.compile(backend='aot_eager', fullgraph=True, dynamic=False)
    image = torch.randn(2, 3, 64, 64)
    found = []
    for hidden in (None, torch.rand(2, 4, 4) < 0.5):
        maps = [encoder(image, hidden)[0] for encoder in (plain, compiled)]
        torch.testing.assert_close(maps[1], maps[0])
        for encoder, x in zip((plain, compiled), maps, strict=True):
            encoder.zero_grad()
            x.square().mean().backward()
        for (name, p), q in zip(plain.named_parameters(), compiled.parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, msg=name)
        found.append(maps[1])
    assert (found[0] - found[1]).abs().max() > 0.1


def test_the_feature_distance_trains_on_token_maps():
    distance = dict(type='FeatureDistance', class_names=CLASSES, classes=('car',), weight=1.0)
    model = build(dsr_config(student=TOKENS, feature_distance=distance, alignment=None, bank=None))
    with torch.no_grad():  # as weights that are loaded after the model is built
        model.student.backbone.timm_model.pos_embed.normal_()
    items = make_items()
    items['source_label'][:, 16:48] = CLASSES.index('car')
    frozen = {k: v.clone() for k, v in model.student.backbone.state_dict().items()}
    wrapper = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.01))
    logs = [model.train_step(items, wrapper) for _ in range(2)]
    assert logs[0]['loss_feature_distance'] == 0 and logs[1]['loss_feature_distance'] > 0
    kept = model.feature_distance.encoder.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in frozen.items())
    # it reaches the encoder, and nothing else
    batch = model.data_preprocessor(items, training=True)
    model.zero_grad()
    model(batch, mode='loss')['loss_feature_distance'].backward()
    touched = {n.split('.')[0] for n, p in model.student.named_parameters() if p.grad is not None}
    assert touched == {'backbone'}
    assert model.student.backbone.timm_model.patch_embed.proj.weight.grad.any()
