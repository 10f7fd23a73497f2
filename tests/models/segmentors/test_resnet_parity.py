"""The published DeepLabv2 and RefineNet, with their weights' names: equal outputs.

Tolerances: float32 noise of the references; RefineNet's logits on these weights deviate by 280.
"""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from dsr_nss.checkpoints import load_strictly
from dsr_nss.conversion import convert_dsrnss
from tests.models.segmentors.networks import deeplabv2_config, load_fill, refinenet_config

pytestmark = pytest.mark.parity

NETWORKS = {
    'deeplabv2_r101': (deeplabv2_config, 1e-4),
    'refinenet_r101': (refinenet_config, 1e-2),
}
#: Channels of the stage maps that the references keep.
CHANNEL_STEPS = (8, 16, 32, 64)


def build(shared_dir, fill, name, network):
    prefix = '' if network == 'student' else 'm_'
    keys = shared_dir / 'reference' / 'keys' / f'{name}.keys.json'
    checkpoint = fill.state_dict_from_json(keys, (f'{prefix}backbone.', f'{prefix}head.'))
    model = MODELS.build(NETWORKS[name][0](depth=101)).eval()
    load_strictly(model, convert_dsrnss(checkpoint, network), name)
    return model


def assert_near(name, value, expected):
    tolerance = NETWORKS[name][1]
    torch.testing.assert_close(value, torch.from_numpy(expected), rtol=0, atol=tolerance)


@pytest.mark.parametrize('name', NETWORKS)
def test_whole_inference_and_stages(shared_dir, name):
    fill = load_fill(shared_dir)
    model, image = build(shared_dir, fill, name, 'student'), fill.randn_input(0, 1, 3, 256, 512)
    expected = np.load(shared_dir / 'reference' / 'parity' / f'{name}.npz')
    stages = np.load(shared_dir / 'reference' / 'parity' / f'{name}_debug.npz')
    seen = []
    model.backbone.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        upsampled = model.encode_decode(image)
        logits = model.decode_head(seen[0])
    for level, (features, step) in enumerate(zip(seen[0], CHANNEL_STEPS, strict=True)):
        assert_near(name, features[:, ::step, ::2, ::2], stages[f'feat{level}'])
    assert_near(name, logits, expected['logits_raw'])
    assert_near(name, upsampled[:, :, 1::4, 1::4], expected['logits_sub'])
    # The smallest margins between the two best classes are near the tolerance.
    assert (upsampled.argmax(1).numpy() != expected['argmax']).sum() <= 2


@pytest.mark.slow
@pytest.mark.parametrize('name', NETWORKS)
def test_teacher(shared_dir, name):
    fill = load_fill(shared_dir)
    model = build(shared_dir, fill, name, 'teacher')
    with torch.no_grad():
        logits = model.encode_decode(fill.randn_input(0, 1, 3, 256, 512))
    expected = np.load(shared_dir / 'reference' / 'parity' / f'{name}.npz')
    assert_near(name, logits[:, :, 1::8, 1::8], expected['teacher_sub'])
