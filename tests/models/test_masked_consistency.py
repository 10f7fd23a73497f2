"""Masked consistency: what is masked, labelled and weighed, and how it joins the step."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.errors import ConfigError
from dsr_nss.functional.cross_entropy import weighted_cross_entropy
from dsr_nss.models import MaskedConsistency
from dsr_nss.structures import StudentOutput
from tests.models.segmentors.conftest import build, dsr_config, make_items
from tests.reference.cross_entropy import weighted_cross_entropy as reference_loss
from tests.reference.random_mask import block_grid, block_mask

CLASSES, SIZE, BLOCK, RATIO, Q = 5, (12, 20), 4, 0.6, 0.37


class PixelStudent(nn.Module):
    """One linear layer over the colours of a pixel, in float64; remembers what it saw."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.matrix = torch.randn(CLASSES, 3, dtype=torch.double, generator=generator)
        self.backbone, self.seen = nn.Identity(), []

    def forward_train(self, image, *hidden):
        self.seen.append(image)
        return StudentOutput(torch.einsum('kc,bchw->bkhw', self.matrix, image), ())

    def segmentation_loss(self, output, label, weight):
        return weighted_cross_entropy(output.logits, label, weight)


def domain(batch, seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(batch, 3, *SIZE, dtype=torch.double, generator=generator)
    label = torch.randint(0, CLASSES, (batch, *SIZE), generator=generator)
    label[:, :2] = 255
    return image, label


def mirrored(image):
    return image.flip(-1) + 0.5


@pytest.mark.parametrize('variant', ['target', 'target_aug', 'half'])
@pytest.mark.parametrize('batch', [1, 2, 3])
def test_loss_equals_a_reference_in_float64(variant, batch):
    student = PixelStudent()
    masking = MaskedConsistency(
        student=student,
        augmentation=nn.Identity(),
        ratio=RATIO,
        block=BLOCK,
        variant=variant,
        weight=0.5,
    )
    source, night = domain(batch, 1), domain(batch, 2)
    torch.manual_seed(7)
    found = masking(student, source, night, torch.tensor(Q, dtype=torch.double), mirrored)

    image, label = (x.numpy() for x in night)
    weight = np.full(label.shape, Q)
    if variant == 'target_aug':
        image = mirrored(night[0]).numpy()
    if variant == 'half':
        n = {1: 1, 2: 1, 3: 2}[batch]
        image = np.concatenate([source[0][:n].numpy(), image[:n]])
        label = np.concatenate([source[1][:n].numpy(), label[:n]])
        weight = np.concatenate([np.ones_like(weight[:n]), weight[:n]])
    torch.manual_seed(7)
    noise = torch.rand(len(image), 1, *block_grid(SIZE, BLOCK))
    seen = image * block_mask(noise.numpy(), SIZE, RATIO)
    logits = np.einsum('kc,bchw->bkhw', student.matrix.numpy(), seen)
    expected = 0.5 * reference_loss(logits, label, weight)
    assert abs(float(found) - expected) < 1e-10
    assert np.array_equal(student.seen[0].numpy(), seen)


def step(masking, seed=1):
    """Losses of one step, and how often the teacher ran."""
    model = build(
        dsr_config(masking=masking, feature_distance=None, alignment=None, confidence_threshold=0.0)
    )
    calls = []
    teacher = model.teacher.model
    encode = teacher.encode_decode
    teacher.__dict__['encode_decode'] = lambda image: calls.append(len(image)) or encode(image)
    torch.manual_seed(seed)
    losses = model(model.data_preprocessor(make_items(), training=True), mode='loss')
    return losses, calls


@pytest.mark.parametrize('variant', ['target', 'target_aug', 'half'])
def test_the_step_has_one_loss_more_and_no_second_look_of_the_teacher(variant):
    plain, calls = step(None)
    masked, same_calls = step(dict(type='MaskedConsistency', block=16, variant=variant))
    assert set(masked) - set(plain) == {'loss_masked'}
    assert masked['loss_masked'] > 0 and masked['loss_masked'].requires_grad
    assert all(torch.equal(plain[name], masked[name]) for name in plain)  # drawn last
    assert calls == same_calls and len(calls) == 1


def test_with_ratio_0_it_is_the_ordinary_loss_of_the_pseudo_label():
    model = build(dsr_config(masking=dict(type='MaskedConsistency', ratio=0.0)))
    batch = model.data_preprocessor(make_items(), training=True)
    label, weight, _ = model.pseudo_label(batch)
    weight = torch.tensor(0.25)
    night = batch.night_image, label
    torch.manual_seed(5)
    torch.rand(len(label), 1, 1, 1)  # the noise of one block, before the detail window is drawn
    expected = model.student.segmentation_loss(
        model.student.forward_train(batch.night_image), label, weight.expand(label.shape)
    )
    torch.manual_seed(5)
    source = batch.source_image, batch.source_label
    assert torch.equal(model.masking(model.student, source, night, weight, None), expected)


def test_token_masks_lie_on_the_patches_of_the_encoder():
    with torch.device('meta'):
        student = SimpleNamespace(
            backbone=MODELS.build(dict(type='TimmViT', model_name='vit_tiny_patch16_224'))
        )
    masking = MaskedConsistency(student=student, unit='token', ratio=0.7)
    image = torch.randn(8, 3, 16 * 20, 16 * 25)
    torch.manual_seed(2)
    whole, hidden = masking.masked(student, image)
    assert whole is image
    torch.manual_seed(2)
    assert torch.equal(hidden, torch.rand(8, 1, 20, 25)[:, 0] < 0.7)


TOKENS = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(type='TimmViT', model_name='test_vit'),
    decode_head=dict(type='LightHead', in_channels=64, num_classes=19),
)


@pytest.mark.parametrize(
    'unit, token, warnings', [('token', 0, 1), ('token', 1, 0), ('block', 0, 0)]
)
def test_a_run_that_starts_without_a_mask_token_says_so_once(unit, token, warnings):
    """At its first step, when all start weights are loaded."""
    masking = dict(type='MaskedConsistency', unit=unit)
    parts = dict(feature_distance=None, alignment=None, refinement=None, bank=None)
    model = build(dsr_config(student=TOKENS, masking=masking, **parts))
    model.student.backbone.mask_token[0, 0] = token
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        optimizer = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.0))
        for _ in range(2):
            model.train_step(make_items(), optimizer)
    finally:
        logger.removeHandler(handler)
    told = [record for record in records if 'mask token' in record.getMessage()]
    assert [record.levelname for record in told] == ['WARNING'] * warnings


@pytest.mark.parametrize(
    'fields, message',
    [
        (dict(variant='source'), 'variant must be one of'),
        (dict(unit='pixel'), 'unit must be one of'),
        (dict(unit='token'), 'patches of a TimmViT .*; the student is a PixelStudent on Identity'),
        (dict(ratio=1.5), 'ratio must lie in'),
        (dict(block=0), 'block must be >= 1'),
        (dict(weight=-1), 'weight must be >= 0'),
        (dict(variant='target_aug'), 'needs model.augmentation'),
    ],
)
def test_what_cannot_be_masked_is_said(fields, message):
    with pytest.raises(ConfigError, match=message):
        MaskedConsistency(student=PixelStudent(), **fields)
