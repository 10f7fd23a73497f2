"""The strip-wise predictions against mmseg's own path and against definitions."""

import sys

import pytest
import torch
import torch.nn.functional as F
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from dsr_nss.errors import ConfigError
from dsr_nss.inference import mosaic
from dsr_nss.inference.load import read_model_config
from dsr_nss.inference.predict import (
    TTA_SCALES,
    classes_of_views,
    compile_stages,
    network_views,
    predict,
    predict_batch,
)
from tests.models.segmentors.networks import head_config, hrda_head_config

SLIDE = dict(mode='slide', crop_size=(64, 72), stride=(40, 48))
NETWORKS = {
    'hrda': dict(type='HRDAEncoderDecoder', decode_head=hrda_head_config()),
    'single_scale': dict(type='AdaptableEncoderDecoder', decode_head=head_config()),
}


def build(name, test_cfg=None, preprocessor=None):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            NETWORKS[name],
            backbone=dict(type='MiT', arch='b0'),
            test_cfg=test_cfg,
            data_preprocessor=dict(type='AdaptationPreprocessor', **(preprocessor or {})),
        )
    )
    for parameter in model.decode_head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # so that several classes are predicted
    return model.eval()


def make_data(size, batch=1, native=None, **meta):
    generator = torch.Generator().manual_seed(1)
    shapes = dict(img_shape=size, ori_shape=native or size, **meta)
    return dict(
        inputs=[
            torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
            for _ in range(batch)
        ],
        data_samples=[SegDataSample(metainfo=dict(shapes)) for _ in range(batch)],
    )


def mmsegs(model, data, monkeypatch):
    """mmseg's prediction with its own loop over the windows: (logits `(K, H, W)`, classes)."""
    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(
            model,
            'slide_inference',
            lambda x, metas: EncoderDecoder.slide_inference(model, x, metas),
        )
        sample = model.test_step(data)[0]
    return sample.seg_logits.data, sample.pred_sem_seg.data[0]


def logits_of(model, data):
    with torch.no_grad():
        prepared = model.data_preprocessor(data, False)
        metas = [dict(sample.metainfo) for sample in prepared['data_samples']]
        return network_views(model, prepared['inputs'], metas)[0].whole()


def check_classes(ids, expected, logits):
    """Equal but where the two best classes are equal to rounding."""
    best = logits.topk(2, dim=0).values
    clear = best[0] - best[1] > 3e-5
    assert clear.float().mean() > 0.99
    assert torch.equal(ids.long()[clear], expected.long()[clear])
    assert len(ids.unique()) > 1


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize(
    ('size', 'native'),
    [
        ((97, 131), None),
        ((64, 72), None),
        ((58, 61), None),
        ((59, 120), None),
        ((70, 96), (99, 77)),
    ],
)
@pytest.mark.parametrize('limit', [None, 1, 3])
def test_is_mmsegs_prediction(monkeypatch, name, size, native, limit):
    """Odd sizes, images smaller than a window, another size of the file, windows at once."""
    monkeypatch.setitem(mosaic.STRIP_BYTES, 'cpu', 4 * 19 * 100 * 16)  # several strips
    model = build(name, dict(SLIDE, max_windows=limit))
    data = make_data(size, native=native)
    expected, classes = mmsegs(model, data, monkeypatch)
    logits = logits_of(model, data)[0]
    assert logits.shape == (19, *(native or size))
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    ids, _ = predict(model, data)
    assert ids.dtype == torch.uint8
    check_classes(ids, classes, expected)


@pytest.mark.parametrize('test_cfg', [SLIDE, dict(mode='whole')])
def test_padding_is_cut_off(monkeypatch, test_cfg):
    model = build('single_scale', test_cfg, dict(test_cfg=dict(size_divisor=32)))
    data = make_data((70, 111))
    expected, classes = mmsegs(model, data, monkeypatch)
    torch.testing.assert_close(logits_of(model, data)[0], expected, rtol=0, atol=1e-5)
    check_classes(predict(model, data)[0], classes, expected)


@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize('name', NETWORKS)
def test_batches_are_single_images(name, tta):
    model = build(name, SLIDE)
    data = make_data((70, 111), batch=3)
    together = predict_batch(model, data, tta, with_confidence=True)
    for i, (ids, content) in enumerate(together):
        one = {key: [values[i]] for key, values in data.items()}
        alone, expected = predict(model, one, tta, with_confidence=True)
        torch.testing.assert_close(content['confidence'], expected['confidence'], rtol=0, atol=1e-4)
        assert (ids == alone).float().mean() > 0.99
    assert not torch.equal(together[0][0], together[1][0])


def test_images_of_a_batch_have_one_size():
    data = make_data((64, 72), batch=2)
    data['data_samples'][1].set_metainfo(dict(ori_shape=(65, 72)))
    with pytest.raises(ValueError, match='one size'):
        predict_batch(build('single_scale', SLIDE), data)


@pytest.mark.parametrize('native', [None, (99, 77)])
def test_tta_by_definition(monkeypatch, native):
    """Mean softmax of six views: resized, predicted, mirrored back, brought to the file's size."""
    monkeypatch.setitem(mosaic.STRIP_BYTES, 'cpu', 4 * 19 * 100 * 16)
    model = build('single_scale', SLIDE)
    data = make_data((64, 96), native=native)
    with torch.no_grad():
        image = model.data_preprocessor(data, False)['inputs']
        total = 0
        for scale in TTA_SCALES:
            size = {0.75: (64, 64), 1.0: (64, 96), 1.25: (64, 128)}[scale]
            view = F.interpolate(image, size, mode='bilinear', antialias=True)
            metas = [dict(ori_shape=size)]
            plain = model.inference(view, metas)
            mirrored = model.inference(view.flip(-1), metas).flip(-1)
            for logits in (plain, mirrored):
                total += F.interpolate(logits, native or (64, 96), mode='bilinear').softmax(1)
    mean = total[0] / 6
    ids, content = predict(model, data, tta=True, with_confidence=True)
    torch.testing.assert_close(content['confidence'], mean.amax(0), rtol=0, atol=1e-5)
    best = mean.topk(2, dim=0).values
    clear = best[0] - best[1] > 1e-5
    assert torch.equal(ids.long()[clear], mean.argmax(0)[clear])
    assert not torch.equal(ids, predict(model, data)[0])


@pytest.mark.parametrize('amp', ['bf16', 'fp16'])
def test_amp_runs_the_network_and_nothing_else(monkeypatch, amp):
    model = build('single_scale', SLIDE)
    data = make_data((70, 111))
    seen = []
    model.backbone.register_forward_hook(lambda module, x, out: seen.append(out[0].dtype))
    ids, content = predict(model, data, with_confidence=True, amp=amp)
    assert set(seen) == {dict(bf16=torch.bfloat16, fp16=torch.float16)[amp]}
    assert content['confidence'].dtype == torch.float32
    exact = predict(model, data)[0]
    assert (ids == exact).float().mean() > 0.95


def test_memory_of_a_full_map_is_not_taken():
    """The largest thing that is made is a strip; a map of all classes is never whole."""
    windows = [torch.randn(1, 19, 64, 64)] * 2
    boxes = [(0, 256, 0, 256), (0, 256, 128, 384)]
    whole = mosaic.Mosaic(windows, boxes, content=(0, 256, 0, 384), size=(2048, 3072))
    largest = max(logits.nbytes for _, logits in whole.strips())
    assert largest <= mosaic.STRIP_BYTES['cpu'] < 19 * 2048 * 3072 * 4 / 100
    ids, _ = classes_of_views([whole], None)
    assert ids.shape == (1, 2048, 3072)


def test_mirroring_pipelines_are_refused():
    data = make_data((64, 72), flip=True, flip_direction='horizontal')
    with pytest.raises(ConfigError, match='--tta'):
        predict(build('single_scale', SLIDE), data)


@pytest.mark.parametrize('name', [*NETWORKS, 'of mmseg'])
def test_what_is_compiled_is_what_runs(name, monkeypatch):
    """Of each part the compiled function is called, not the method that it was made of."""
    model = build('single_scale' if name == 'of mmseg' else name, SLIDE)
    if name == 'of mmseg':
        monkeypatch.setattr(model, '__class__', EncoderDecoder)
    calls = []

    def compile_(function, **options):
        def called(*args, **kwargs):
            calls.append(function.__self__)
            return function(*args, **kwargs)

        return called

    monkeypatch.setattr(torch, 'compile', compile_)
    expected = logits_of(model, make_data((70, 111)))
    compile_stages(model)
    assert torch.equal(logits_of(model, make_data((70, 111))), expected)
    head = model.decode_head
    parts = [model.backbone, *([head.head, head.scale_attention] if name == 'hrda' else [head])]
    assert {id(part) for part in calls} == {id(part) for part in parts}


@pytest.mark.slow
@pytest.mark.parametrize('name', NETWORKS)
def test_compiled_stages_give_the_same(name):
    model = build(name, SLIDE)
    data = make_data((70, 111))
    names = list(model.state_dict())
    expected = logits_of(model, data)
    compile_stages(model)
    assert list(model.state_dict()) == names
    torch.testing.assert_close(logits_of(model, data), expected, rtol=0, atol=1e-4)


def test_several_sets_load_the_model_once(monkeypatch, config_file, checkpoint):
    calls = []
    evaluate_module = sys.modules['dsr_nss.evaluation.evaluate']  # its name is the function's, too
    real = evaluate_module.load_model

    def count(*arguments):
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(evaluate_module, 'load_model', count)
    result = evaluate_module.evaluate(
        read_model_config(config_file),
        checkpoint,
        names=['night_val', 'other_val'],
        device='cpu',
        workers=0,
        progress=False,
    )
    assert len(calls) == 1
    assert {'night_val/mIoU', 'other_val/mIoU'} <= set(result)
