"""The published HRDA networks, with their weights' names: equal outputs.

Tolerances: the references' float32 noise is 1e-6; 3e-6 still catches a wrong epsilon of a norm.
"""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from dsr_nss.checkpoints import load_strictly
from dsr_nss.conversion import convert_dsrnss
from dsr_nss.models.segmentors import hrda as hrda_module
from tests.models.segmentors.networks import build_hrda

pytestmark = pytest.mark.parity

PLAIN, FUSED = SDPBackend.MATH, SDPBackend.FLASH_ATTENTION
TOLERANCE = {PLAIN: 3e-6, FUSED: 2e-5}
KERNELS = pytest.mark.parametrize('kernel', [PLAIN, FUSED], ids=['plain', 'fused'])


@pytest.fixture(scope='module')
def checkpoint(shared_dir, fill):
    return fill.state_dict_from_json(shared_dir / 'reference' / 'keys' / 'hrda_mit_b0.keys.json')


def build(checkpoint, network='student', **fields):
    model = build_hrda(channels=256, **fields).eval()
    load_strictly(model, convert_dsrnss(checkpoint, network), network)
    return model


def assert_near(value, expected, kernel):
    torch.testing.assert_close(
        value, torch.from_numpy(expected), rtol=0, atol=TOLERANCE[kernel], check_dtype=True
    )


@KERNELS
def test_whole_inference(fill, checkpoint, reference, kernel):
    model, image = build(checkpoint), fill.randn_input(0, 1, 3, 256, 512)
    expected = reference('hrda_mit_b0')
    logits = []
    model.decode_head.register_forward_hook(lambda module, inputs, output: logits.append(output))
    with torch.no_grad(), sdpa_kernel(kernel):
        upsampled = model.encode_decode(image)
    assert_near(logits[0], expected['logits_os4'], kernel)
    assert_near(upsampled[:, :, 1::4, 1::4], expected['logits_sub'], kernel)
    # The smallest margin between the two best classes of the reference is 3e-6.
    assert (upsampled.argmax(1).numpy() != expected['argmax']).sum() <= 2


def test_parts(fill, checkpoint, reference):
    """In double precision: the noise is that of the reference alone, whatever the processor."""
    model, expected = build(checkpoint).double(), reference('hrda_mit_b0_debug')
    with torch.no_grad():
        context = model.context_features(fill.randn_input(0, 1, 3, 256, 512).double())
        attention = model.decode_head.attend(context)
        logits = model.decode_head.head(context)
    for level, features in enumerate(context):
        own = features[:, :: 4 if level == 0 else 2].float()
        assert_near(own, expected[f'feat{level}'], PLAIN)
    assert_near(attention.float(), expected['att'], PLAIN)
    assert_near(logits.float(), expected['lr_seg'], PLAIN)


def test_teacher(fill, checkpoint, reference):
    model = build(checkpoint, 'teacher')
    with torch.no_grad(), sdpa_kernel(PLAIN):
        logits = model.encode_decode(fill.randn_input(0, 1, 3, 256, 512))
    assert_near(logits[:, :, 1::8, 1::8], reference('hrda_mit_b0')['teacher_sub'], PLAIN)


@pytest.mark.parametrize('kernel', [pytest.param(PLAIN, marks=pytest.mark.slow), FUSED])
def test_sliding_windows_with_truncated_boxes(fill, checkpoint, reference, kernel):
    slide = dict(mode='slide', crop_size=(216, 216), stride=(84, 84))
    model = build(checkpoint, truncate_boxes=True, test_cfg=slide)
    image, expected = fill.randn_input(0, 1, 3, 256, 512), reference('hrda_mit_b0_slide216')
    with torch.no_grad(), sdpa_kernel(kernel):
        logits = model.inference(image, [dict(ori_shape=(256, 512))])
        resized = torch.nn.functional.interpolate(logits, (135, 240), mode='bilinear')
    assert_near(logits[:, :, 1::4, 1::4], expected['logits_sub'], kernel)
    assert_near(resized[:, :, ::3, ::3], expected['out_sub'], kernel)
    assert (logits.argmax(1).numpy() != expected['argmax']).sum() <= 2


@KERNELS
def test_training_fusion(fill, checkpoint, reference, kernel, monkeypatch):
    monkeypatch.setattr(hrda_module, 'draw_detail_box', lambda size: (96, 224, 208, 464))
    model, expected = build(checkpoint), reference('hrda_mit_b0_trainfusion0')
    with torch.no_grad(), sdpa_kernel(kernel):
        output = model.forward_train(fill.randn_input(3, 2, 3, 256, 512))
        detail = torch.nn.functional.interpolate(output.detail_logits, (128, 256), mode='bilinear')
    assert_near(output.logits[:, :, ::2, ::2], expected['logits'], kernel)
    assert_near(detail[:, :, 1::4, 1::4], expected['hr_logits'], kernel)


def test_layout_of_hrda_itself(shared_dir, fill, reference):
    """Its names are ours: no conversion."""
    names = shared_dir / 'reference' / 'keys' / 'lhoyer_hrda_mit_b0.keys.json'
    model = build_hrda(channels=256).eval()
    load_strictly(model, fill.state_dict_from_json(names), names)
    with torch.no_grad(), sdpa_kernel(PLAIN):
        logits = model.encode_decode(fill.randn_input(0, 1, 3, 256, 512))
    assert_near(logits[:, :, 1::4, 1::4], reference('lhoyer_hrda_mit_b0')['logits_sub'], PLAIN)
