"""mmseg's own tools read our configs and checkpoints."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model

from dsr_nss.classes import CLASSES, PALETTE
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
