"""Published networks through the converter: their file in, mmseg's `init_model`, their logits out.

Tolerances: the references' float32 noise; 3e-6 (HRDA) still catches a wrong epsilon of a norm.
The networks alone are compared with both kinds of attention in `tests/models/segmentors`.
"""

import functools
import shutil

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.apis import init_model
from mmseg.registry import MODELS
from torch.nn.attention import SDPBackend, sdpa_kernel

from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.models.segmentors import hrda as hrda_module
from tests.reference import hrda_fusion

PLAIN = SDPBackend.MATH
#: On a CPU, without a choice, attention is fused.
PLAIN_TOLERANCE, FUSED_TOLERANCE = 3e-6, 2e-5
pytestmark = pytest.mark.parity

RESNET_TOLERANCE = {'deeplabv2_r101': 1e-4, 'refinenet_r101': 1e-2}
#: Everything but the frozen encoder and the matching network.
NETWORK_PREFIXES = ('backbone.', 'head.', 'hrda_', 'm_', 'decode_head.')
#: As Lightning 1.5 writes it; the tests of single files have the types that it pickles.
LIGHTNING = {
    'epoch': 33,
    'global_step': 40001,
    'pytorch-lightning_version': '1.5.10',
    'callbacks': {'ModelCheckpoint': {'best_model_path': ''}},
    'optimizer_states': [],
    'lr_schedulers': [],
}


@pytest.fixture(scope='module')
def published(shared_dir, fill, tmp_path_factory):
    """Name of a key list and prefixes of its entries -> the file, written once a module."""
    folder = tmp_path_factory.mktemp('published')

    @functools.cache
    def write(name, prefixes=None):
        keys = shared_dir / 'reference' / 'keys' / f'{name}.keys.json'
        state = fill.state_dict_from_json(keys, prefixes)
        torch.save({**LIGHTNING, 'state_dict': state}, folder / f'{name}.ckpt')
        return folder / f'{name}.ckpt'

    yield write
    shutil.rmtree(folder)


@pytest.fixture(scope='module')
def converted(published, tmp_path_factory):
    """The config and the checkpoint that a published file is converted to, once a module."""
    folder = tmp_path_factory.mktemp('converted')

    @functools.cache
    def convert(name, network):
        stem = folder / f'{name}_{network}'
        result = convert_checkpoint(
            published(name, NETWORK_PREFIXES),
            stem.with_suffix('.pth'),
            network=network,
            config_out=stem.with_suffix('.py'),
        )
        assert result.comparison.complete and result.written
        return result.config_written, result.written

    yield convert
    shutil.rmtree(folder)


@pytest.fixture(scope='module')
def network(converted):
    """A published network, converted and loaded by mmseg alone; options change its config."""

    def build(name, options=None, network='student'):
        path, checkpoint = converted(name, network)
        config = Config.fromfile(str(path))
        config.merge_from_dict(options or {})
        return init_model(config, str(checkpoint), device='cpu')

    return build


@pytest.fixture
def image(fill):
    return fill.randn_input(0, 1, 3, 256, 512)


def assert_near(value, expected, tolerance):
    """And say how near: `pytest -rP` prints it."""
    expected = torch.as_tensor(expected).to(value.dtype)
    print(f'largest difference {(value - expected).abs().max():.1e}, allowed {tolerance:.0e}')
    torch.testing.assert_close(value, expected, rtol=0, atol=tolerance)


def metas(image):
    size = tuple(image.shape[2:])
    return [dict(img_shape=size, ori_shape=size, pad_shape=size)] * len(image)


def test_hrda(network, image, reference):
    expected = reference('hrda_mit_b0')
    with torch.no_grad(), sdpa_kernel(PLAIN):
        logits = network('hrda_mit_b0').encode_decode(image, metas(image))
    assert_near(logits[:, :, 1::4, 1::4], expected['logits_sub'], PLAIN_TOLERANCE)
    assert (logits.argmax(1).numpy() != expected['argmax']).sum() <= 2


def test_hrda_teacher(network, image, reference):
    with torch.no_grad():
        logits = network('hrda_mit_b0', network='teacher').encode_decode(image, metas(image))
    expected = reference('hrda_mit_b0')['teacher_sub']
    assert_near(logits[:, :, 1::8, 1::8], expected, FUSED_TOLERANCE)


def test_hrda_in_windows_whose_boxes_are_truncated(network, image, reference):
    windows = {'model.test_cfg.crop_size': (216, 216), 'model.test_cfg.stride': (84, 84)}
    with torch.no_grad():
        logits = network('hrda_mit_b0', windows).inference(image, metas(image))
    expected = reference('hrda_mit_b0_slide216')['logits_sub']
    assert_near(logits[:, :, 1::4, 1::4], expected, FUSED_TOLERANCE)


def test_the_switch_of_the_converted_config_matters(network, fill):
    image = fill.randn_input(0, 1, 3, 72, 72)
    with torch.no_grad():
        published, own = (
            network('hrda_mit_b0', options).encode_decode(image, metas(image))
            for options in ({}, {'model.decode_head.truncate_boxes': False})
        )
    assert (published - own).abs().max() > 0.01


@pytest.mark.parametrize('size', [(264, 520), (240, 320), (184, 472)])
def test_hrda_at_other_sizes(network, fill, size):
    """Against the published fusion, written out, of the network's own parts."""
    model, image = network('hrda_mit_b0'), fill.randn_input(5, 1, 3, *size)
    head = model.decode_head
    with torch.no_grad(), sdpa_kernel(PLAIN):
        context = model.extract_feat(F.interpolate(image, scale_factor=0.5, mode='bilinear'))
        windows = [
            head.head(model.extract_feat(image[..., top:bottom, left:right]))
            for top, bottom, left, right in hrda_fusion.boxes(*size)
        ]
        attention, logits = head.scale_attention(context).sigmoid(), head.head(context)
        result = model.encode_decode(image, metas(image))
    parts = [x[0].double().numpy() for x in (logits, attention, *windows)]
    fused = torch.from_numpy(hrda_fusion.fuse(parts[0], parts[1], parts[2:], size))[None]
    expected = F.interpolate(fused, size, mode='bilinear', align_corners=False)
    assert_near(result.double(), expected, PLAIN_TOLERANCE)


@pytest.mark.parametrize('size', [(257, 100), (131, 67)])
def test_hrda_at_sizes_that_published_code_cannot_run(network, fill, size):
    image = fill.randn_input(6, 1, 3, *size)
    with torch.no_grad():
        assert network('hrda_mit_b0').encode_decode(image, metas(image)).shape == (1, 19, *size)


def test_hrda_training_fusion(network, fill, reference, monkeypatch):
    monkeypatch.setattr(hrda_module, 'draw_detail_box', lambda size: (96, 224, 208, 464))
    model, expected = network('hrda_mit_b0'), reference('hrda_mit_b0_trainfusion0')
    with torch.no_grad():
        output = model.forward_train(fill.randn_input(3, 2, 3, 256, 512))
        detail = F.interpolate(output.detail_logits, (128, 256), mode='bilinear')
    assert_near(output.logits[:, :, ::2, ::2], expected['logits'], FUSED_TOLERANCE)
    assert_near(detail[:, :, 1::4, 1::4], expected['hr_logits'], FUSED_TOLERANCE)


def test_hrda_in_its_own_layout(network, image, reference):
    expected = reference('lhoyer_hrda_mit_b0')
    with torch.no_grad():
        logits = network('lhoyer_hrda_mit_b0').encode_decode(image, metas(image))
    assert_near(logits[:, :, 1::4, 1::4], expected['logits_sub'], FUSED_TOLERANCE)
    assert (logits.argmax(1).numpy() != expected['argmax']).sum() <= 2


def test_mic(shared_dir, fill, tmp_path, image, reference):
    """MIC is HRDA's network in HRDA's training layout: student, teacher and ImageNet network."""
    keys = shared_dir / 'reference' / 'keys' / 'lhoyer_hrda_mit_b0.keys.json'
    state = fill.state_dict_from_json(keys)
    whole = {f'ema_model.{name}': value for name, value in state.items()}
    whole |= {f'model.{name}': torch.zeros_like(value) for name, value in state.items()}
    whole |= {f'imnet_model.{name}': value for name, value in state.items()}
    meta = dict(iter=40000, config="uda = dict(mask_mode='separatetrgaug')", CLASSES=('road',) * 19)
    torch.save(dict(meta=meta, state_dict=whole, optimizer={}), tmp_path / 'mic.pth')
    result = convert_checkpoint(
        tmp_path / 'mic.pth', tmp_path / 'a.pth', network='teacher', config_out=tmp_path / 'a.py'
    )
    assert result.layout == 'mic' and result.comparison.complete
    model = init_model(str(tmp_path / 'a.py'), str(tmp_path / 'a.pth'), device='cpu')
    with torch.no_grad():
        logits = model.encode_decode(image, metas(image))
    expected = reference('lhoyer_hrda_mit_b0')['logits_sub']
    assert_near(logits[:, :, 1::4, 1::4], expected, FUSED_TOLERANCE)


@pytest.mark.parametrize('name', RESNET_TOLERANCE)
def test_deeplabv2_and_refinenet(network, image, reference, name):
    expected, model = reference(name), network(name)
    with torch.no_grad():
        logits = model.encode_decode(image, metas(image))
    assert_near(logits[:, :, 1::4, 1::4], expected['logits_sub'], RESNET_TOLERANCE[name])
    assert (logits.argmax(1).numpy() != expected['argmax']).sum() <= 2


@pytest.mark.slow
@pytest.mark.parametrize('name', RESNET_TOLERANCE)
def test_teachers_of_deeplabv2_and_refinenet(network, image, reference, name):
    with torch.no_grad():
        logits = network(name, network='teacher').encode_decode(image, metas(image))
    expected = reference(name)['teacher_sub']
    assert_near(logits[:, :, 1::8, 1::8], expected, RESNET_TOLERANCE[name])


@pytest.mark.slow
@pytest.mark.parametrize('name', ['hrda_mit_b5', 'daformer_mit_b5'])
def test_the_large_networks_are_complete(network, fill, name):
    for which in ('student', 'teacher'):
        model = network(name, network=which)
    assert model.backbone.arch == 'b5'
    with torch.no_grad():
        logits = model.encode_decode(fill.randn_input(0, 1, 3, 64, 128), [{}])
    assert logits.shape == (1, 19, 64, 128) and logits.isfinite().all()


@pytest.mark.parametrize('name, layout', [('alignment', 'auto'), ('hrda_mit_b0', 'uawarpc')])
def test_matching_network(published, tmp_path, fill, reference, name, layout):
    """As a file of its own, and as a part of a segmentation checkpoint."""
    result = convert_checkpoint(
        published(name), tmp_path / 'a.pth', layout=layout, config_out=tmp_path / 'a.py'
    )
    assert result.comparison.complete
    aligner = MODELS.build(Config.fromfile(str(tmp_path / 'a.py')).aligner)
    aligner.init_weights()
    matcher, expected = aligner.network, reference('align_vgg_180x300')
    # the network normalises RGB in [0, 1]; the reference's images are normalised
    night, day = (
        (fill.smooth_input(seed, 1, 3, 180, 300) * matcher.pyramid.std + matcher.pyramid.mean) / 255
        for seed in (1, 2)
    )
    with torch.no_grad():
        estimates = matcher(night, day)
    for level, estimate in zip((4, 3, 2, 1), estimates, strict=True):
        assert_near(estimate.flow, expected[f'flow{level}'], 5e-3)
        assert_near(estimate.log_variance, expected[f'unc{level}'], 1e-3)
