"""mmseg's own tools read our configs and checkpoints."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.registry import MODELS
from PIL import Image

import dsr_nss
from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.engine.config import read_config
from dsr_nss.engine.launch import configure_run
from dsr_nss.inference.load import read_model_config
from tests.models.segmentors.conftest import PREPROCESSOR, STUDENT, build, dsr_config


@pytest.fixture
def trained(tmp_path):
    model = build(dsr_config())
    with torch.no_grad():
        for p in model.teacher.model.parameters():
            p.mul_(2)  # so that student and teacher can be told apart
    path = tmp_path / 'iter_1.pth'
    meta = dict(dataset_meta=dict(classes=CLASSES, palette=PALETTE))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return model.eval(), path


PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]


def test_init_model_of_an_adaptation_gives_the_student(trained, tmp_path):
    model, path = trained
    config = Config(dict(model=dsr_config(), test_pipeline=PIPELINE))
    loaded = init_model(config, str(path), device='cpu')
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = model.student.encode_decode(image, [])
        assert torch.equal(loaded.encode_decode(image, []), expected)
    result = inference_model(loaded, np.zeros((64, 96, 3), np.uint8))
    assert result.pred_sem_seg.data.shape == (1, 64, 96)


def test_the_student_part_is_a_plain_segmentor_checkpoint(trained, tmp_path):
    model, path = trained
    state = {
        key.removeprefix('student.'): value
        for key, value in model.state_dict().items()
        if key.startswith('student.')
    }
    plain = tmp_path / 'student.pth'
    torch.save(dict(state_dict=state, meta=torch.load(path)['meta']), plain)
    config = Config(dict(model=dict(STUDENT, data_preprocessor=PREPROCESSOR)))
    loaded = init_model(config, str(plain), device='cpu')
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(loaded.encode_decode(image, []), model.student.encode_decode(image, []))


OWN = """
_base_ = 'dsr_nss::demo/dsr_hrda_nightscape.py'
classes = dict(names=('road', 'building', 'sky'))
_night = dict(type='FolderDataset', images='images', labels='labels', pipeline=_base_.test_pipeline)
test_sets = dict(_delete_=True, night=_night)
default_test_sets = ['night']
val_dataloader = dict(dataset=dict(_delete_=True, **_night))
train_dataloader = dict(dataset=dict(
    source=dict(_delete_=True, type='FolderDataset', images='day', labels='labels'),
    target=dict(_delete_=True, type='FolderDataset', images='night')))
model = dict(student=dict(backbone=dict(pretrained=False)))
"""


@pytest.mark.parametrize('kind', ['config file', 'of a run', 'converted'])
def test_the_inferencer_of_mmseg(kind, tmp_path, monkeypatch):
    """It reads more of a config than `init_model` does: a test set, a visualizer."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'own.py').write_text(OWN)
    config = read_model_config('own.py')
    meta = dict(dataset_meta=dict(classes=('road', 'building', 'sky'), palette=[[1, 2, 3]] * 3))
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict(), meta=meta), 'iter_1.pth')
    weights = 'iter_1.pth'
    if kind == 'of a run':  # what `tools/train.py` leaves in the work dir
        run = read_config('own.py')
        configure_run(run, work_dir='run')
        run.dump('run.py')
        config = 'run.py'
    elif kind == 'converted':
        weights, config = 'network.pth', 'network.py'
        convert_checkpoint('iter_1.pth', weights, config='own.py', config_out=config)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 96, 3), np.uint8)).save('night.png')
    result = MMSegInferencer(config, weights, device='cpu')('night.png', out_dir='out')
    expected = dsr_nss.load('iter_1.pth', 'own.py', device='cpu').predict('night.png').labels
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(result['predictions'], expected)
    assert Image.open('out/vis/night.png').size == (96, 64)
    assert Image.open('out/pred/00000000_pred.png').size == (96, 64)
