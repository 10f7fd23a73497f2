"""Exported networks in the place of checkpoints: their metadata, their sizes, their devices."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import dsr_nss
from dsr_nss.errors import CheckpointError, ConfigError, DataError
from dsr_nss.inference.export_facts import read_facts
from dsr_nss.inference.files import infer
from tests.exported_networks import FACTS, facts, write_onnx, write_pt2

pytest.importorskip('onnxruntime', reason='the extra export is not installed')


@pytest.fixture
def pixels():
    """Red above, green below, wide."""
    image = np.zeros((80, 100, 3), np.uint8)
    image[:30, :, 0] = image[30:, :, 1] = 255
    return image


def test_a_graph_predicts_with_its_own_classes(tmp_path, pixels):
    model = dsr_nss.load(write_onnx(tmp_path / 'a.onnx'), device='cpu')
    result = model.predict(pixels)
    assert (result.labels[:30] == 0).all() and (result.labels[30:] == 1).all()
    assert result.names == FACTS['classes'] and model.palette == FACTS['palette']
    logits = (pixels[0, 0] - np.array(FACTS['mean'])) / FACTS['std']
    assert result.confidence[0, 0] == pytest.approx(np.exp(logits[0]) / np.exp(logits).sum())


def test_swapped_colours_windows_and_padding_are_those_of_the_metadata(tmp_path, pixels):
    text = facts(channels='BGR').text()
    swapped = dsr_nss.load(write_onnx(tmp_path / 'a.onnx', text), device='cpu').predict(pixels)
    assert (swapped.labels[:30] == 2).all()
    text = facts(window=(64, 64), stride=(40, 40), padding=dict(size_divisor=32, value=0)).text()
    model = dsr_nss.load(write_onnx(tmp_path / 'a.onnx', text), device='cpu')
    seen = []
    graph = model.model.graph
    model.model.graph = lambda window: seen.append(tuple(window.shape)) or graph(window)
    assert np.array_equal(model.predict(pixels).labels[:, 0], np.repeat([0, 1], [30, 50]))
    assert seen == [(1, 3, 64, 64)] * 6  # 96x128 in windows


@pytest.mark.parametrize('write', [write_onnx, write_pt2])
def test_a_process_that_does_nothing_else_predicts(tmp_path, pixels, repo_root, write):
    """What other tests have registered or set in this process does not help here."""
    file = write(tmp_path / f'a.{write.__name__.removeprefix("write_")}')
    np.save(tmp_path / 'pixels.npy', pixels[:64, :64])
    code = (
        'import dsr_nss, numpy, sys\n'
        'file, pixels = sys.argv[1:]\n'
        "print(dsr_nss.load(file, device='cpu').predict(numpy.load(pixels)).labels[0, 0])"
    )
    done = subprocess.run(
        [sys.executable, '-c', code, str(file), str(tmp_path / 'pixels.npy')],
        capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(repo_root)},
    )  # fmt: skip
    assert done.stdout.strip().isdigit(), done.stderr[-2000:]


def test_a_turned_photograph_is_written_upright_and_kept(tmp_path, pixels):
    file = write_onnx(tmp_path / 'a.onnx')
    (tmp_path / 'in').mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / 'in/a.png', exif=exif)
    arguments = dict(device='cpu')
    report = infer(None, file, [tmp_path / 'in'], tmp_path / 'out', **arguments)
    assert report.predicted == 1
    labels = np.array(Image.open(tmp_path / 'out/labelTrainIds/a.png'))
    assert np.array_equal(labels, np.repeat([[1, 0]], 100, 0).repeat([50, 30], 1))
    assert infer(None, file, [tmp_path / 'in'], tmp_path / 'out', **arguments).kept == 1
    write_onnx(file, facts(channels='BGR').text())
    with pytest.raises(ConfigError, match='different: checkpoint'):
        infer(None, file, [tmp_path / 'in'], tmp_path / 'out', **arguments)


def test_sizes_that_the_graph_does_not_take_are_named_and_the_others_predicted(tmp_path, pixels):
    file = write_pt2(tmp_path / 'a.pt2')
    model = dsr_nss.load(file, device='cpu')
    with pytest.raises(DataError, match='takes 64x64 pixels alone, and the image has 80x100'):
        model.predict(pixels)
    file = write_pt2(tmp_path / 'b.pt2', window=(64, 64), stride=(32, 32))
    model = dsr_nss.load(file, device='cpu')
    assert model.predict(pixels).labels.shape == (80, 100)
    with pytest.raises(DataError, match='its window has 40x64'):
        model.predict(pixels[:40])
    (tmp_path / 'in').mkdir()
    for name, image in (('small', pixels[:40]), ('whole', pixels)):
        Image.fromarray(image).save(tmp_path / f'in/{name}.png')
    report = infer(None, file, [tmp_path / 'in'], tmp_path / 'out', device='cpu')
    assert report.images == 1 and [path.stem for path in report.failed] == ['small']
    model = dsr_nss.load(write_onnx(tmp_path / 'c.onnx'), device='cpu')
    with pytest.raises(DataError, match='takes sides of 64 to 8192 pixels'):
        model.predict(pixels[:63])


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(config='c.py'), 'takes no config'),
        (dict(amp='bf16'), 'takes no amp'),
        (dict(compile=True), 'takes no compile'),
        (dict(device='cuda'), 'has no CUDA provider'),
        (dict(device='meta'), 'cpu or cuda'),
    ],
)
def test_what_an_exported_network_does_not_take_is_refused(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        dsr_nss.load(write_onnx(tmp_path / 'a.onnx'), **dict(device='cpu') | fields)


def test_another_network_is_refused(tmp_path):
    file = write_onnx(tmp_path / 'a.onnx')
    with pytest.raises(CheckpointError, match='was exported from the student'):
        dsr_nss.load(file, which='teacher', device='cpu')
    file = write_onnx(file, facts(network='teacher').text())
    assert dsr_nss.load(file, device='cpu').model.facts.network == 'teacher'


def test_bytes_that_are_of_onnxruntimes_own_format_too_are_read_as_onnx(tmp_path, pixels):
    """Its mark, four bytes behind the start; nothing in that format was checked."""
    onnx = pytest.importorskip('onnx', reason='the extra export is not installed')
    model = onnx.load(write_onnx(tmp_path / 'a.onnx'))
    model.producer_name = 'ORTM'
    (tmp_path / 'a.onnx').write_bytes(model.SerializeToString())
    assert (tmp_path / 'a.onnx').read_bytes()[4:8] == b'ORTM'
    assert dsr_nss.load(tmp_path / 'a.onnx', device='cpu').predict(pixels).labels.shape == (80, 100)


def test_logits_of_other_classes_are_refused(tmp_path, pixels):
    text = facts(classes=('a', 'b'), palette=[[1, 1, 1], [2, 2, 2]]).text()
    model = dsr_nss.load(write_onnx(tmp_path / 'a.onnx', text), device='cpu')
    with pytest.raises(CheckpointError, match=r'gives \(1, 3, 80, 100\).* no logits of 2 classes'):
        model.predict(pixels)


def test_the_metadata_are_those_that_were_written():
    own = facts(size=(70, 90), window=(70, 90), stride=(8, 9), threshold=0.5)
    assert read_facts(own.text(), 'x') == own


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(format=2), 'metadata.format is 2'),
        (dict(mean=[0, 0]), 'a list of 3 values'),
        (dict(mean=[0, 0, 'a']), r'mean\[2\]'),
        (dict(std=[0, 1, 1]), r'std\[0\] is 0'),
        (dict(size=[64, 10**9]), r'size\[1\]'),
        (dict(window=[64, 64]), 'without stride'),
        (dict(window=[64, 64], stride=[65, 64]), 'larger than its window'),
        (dict(code='__import__'), "has the field 'code', which is never taken"),
        (dict(test_pipeline=[dict(type='LoadBiomedicalImageFromFile')]), 'test transform'),
        (dict(classes=['a', 'b', 'c\x1b[31m']), 'no short printable names'),
        (dict(classes='abc'), 'no list of 2..255 names'),
        (dict(palette=[[0, 0, 300]] * 3), 'three values in 0..255'),
    ],
)
def test_metadata_of_strangers_are_checked_field_by_field(fields, message):
    text = json.dumps(json.loads(facts().text()) | fields)
    with pytest.raises(CheckpointError, match=message):
        read_facts(text, 'x.onnx')


@pytest.mark.parametrize('text', ['', '[]', '[' * 10**5, '{"format": 1}'])
def test_metadata_that_are_no_metadata(text):
    with pytest.raises(CheckpointError, match='x.onnx: its metadata'):
        read_facts(text, 'x.onnx')


def test_a_binary_head_has_a_threshold(tmp_path, pixels):
    model = dsr_nss.load(write_onnx(tmp_path / 'a.onnx'), device='cpu')
    text = facts(threshold=0.3, classes=('no', 'yes'), palette=[[1, 1, 1], [2, 2, 2]]).text()
    model = dsr_nss.load(write_onnx(tmp_path / 'a.onnx', text), device='cpu')
    model.model.graph = lambda window: window[:, :1] - 1  # probability 1 / (1 + exp(1 - x))
    logit = (255 - FACTS['mean'][0]) / FACTS['std'][0] - 1
    assert torch.sigmoid(torch.tensor(logit)) > 0.3
    assert (model.predict(pixels).labels == np.repeat([[1], [0]], [30, 50], 0)).all()
