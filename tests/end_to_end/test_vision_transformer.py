"""A student on a vision transformer with masked patches: from training to a plain checkpoint."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import toy_adaptation
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from toy_runs import assert_same_state, start

from dsr_nss import load
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.engine.config import read_config
from dsr_nss.inference.load import load_model

NAMES = f"""
class_names, long_tail = {CLASSES}, {GROUPS['long_tail']}
"""
MODEL = """
model = dict(
    type='DSRNSS',
    data_preprocessor=dict(type='AdaptationPreprocessor'),
    student=dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='TimmViT', model_name='vit_tiny_patch16_dinov3_qkvb'),
        decode_head=dict(type='LightHead', in_channels=192, num_classes=19),
    ),
    teacher=dict(type='EMATeacher', momentum=0.9),
    mixup=dict(type='DSRMixup', class_names=class_names, always_classes=()),
    alignment=dict(
        type='FPALoss', class_names=class_names, long_tail_classes=long_tail, start=1
    ),
    masking=dict(type='MaskedConsistency', unit='token', ratio=0.5),
    confidence_threshold=0.0,
)
train_dataloader['dataset']['size'] = 40
train_cfg['max_iters'] = 3
param_scheduler['warmup'] = 1
default_hooks['checkpoint']['interval'] = 1
optim_wrapper['paramwise_cfg']['layer_decay'] = 0.9
"""
LORA = """
model['student']['backbone']['lora'] = dict(rank=4, start='soma')
optim_wrapper['paramwise_cfg'] = dict(backbone_lr_mult=1.0)
"""


def named(parameters) -> tuple[int, int]:
    """How many tensors and values, as the table tells them."""
    return len(parameters), sum(parameter.numel() for parameter in parameters)


@pytest.mark.parametrize('adapted', [False, True], ids=['whole', 'lora'])
def test_printed_groups_and_what_is_frozen_are_all_parameters_once(adapted, train, tmp_path):
    (config,) = tmp_path.glob('toy_*.py')
    config.write_text(toy_adaptation.CONFIG + NAMES + MODEL + (LORA if adapted else ''))
    code, printed = train('--print-groups')
    assert code == 0, printed
    rows = [line.split() for line in printed[printed.index('rate') :].splitlines()[1:]]
    counts = [(int(row[2]), int(row[3].replace(',', ''))) for row in rows]
    read = read_config(config)
    with torch.device('meta'):
        model = MODELS.build(read.model)
    groups = build_optim_wrapper(model, read.optim_wrapper).optimizer.param_groups
    assert counts[:-1] == [named(group['params']) for group in groups]
    # the last row is of what no group has
    trained = {id(p): p for group in groups for p in group['params']}
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert rows[-1][:2] == ['-', '-'] and counts[-1] == named(frozen)
    assert not trained.keys() & {id(p) for p in frozen}
    assert len(trained) == sum(len(group['params']) for group in groups)
    every = named(list(model.parameters()))
    assert tuple(map(sum, zip(*counts, strict=True))) == every
    # the teacher and, with adapters, the encoder that it shares with the student
    backbone = model.student.backbone
    assert any(p is backbone.timm_model.cls_token for p in frozen) == adapted
    assert rows[-1][4:] == ['*' if adapted else 'teacher.model.*']
    assert not printed.count('loss_masked') and not list(tmp_path.rglob('*.pth'))


def kill_after_a_checkpoint(process, checkpoint: Path) -> None:
    try:
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.01)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == -signal.SIGKILL, printed


@pytest.fixture
def score(run_tool, tmp_path):
    """mIoU that `tools/test.py` finds on two images with labels."""
    rng = np.random.default_rng(0)
    for folder, shape in (('images', (40, 56, 3)), ('labels', (40, 56))):
        (tmp_path / folder).mkdir()
        for i in range(2):
            values = rng.integers(0, 19, shape, np.uint8)
            cv2.imwrite(
                str(tmp_path / folder / f'{i}.png'), values * (13 if len(shape) == 3 else 1)
            )

    def run(*arguments):
        folders = ['--images', 'images', '--labels', 'labels', '--out', 'out', '--workers', '0']
        assert run_tool('test', *arguments, *folders, '--json', 'scores.json') == 0
        return json.loads(Path('scores.json').read_text())

    return run


@pytest.mark.parametrize('adapted', [False, True], ids=['whole', 'lora'])
def test_it_trains_resumes_bit_by_bit_is_tested_and_becomes_a_plain_segmentor(
    adapted, train, score, repo_root, tmp_path
):
    text = toy_adaptation.CONFIG + NAMES + MODEL + (LORA if adapted else '')
    (config,) = tmp_path.glob('toy_*.py')
    config.write_text(text)
    if not adapted:
        tool = str(repo_root / 'tools/train.py')
        command = (sys.executable, tool, 'toy.py', '--work-dir', 'parts')
        killed = start(repo_root, tmp_path, *command, config=text)
        kill_after_a_checkpoint(killed, tmp_path / 'parts/iter_1.pth')
    code, printed = train('--work-dir', 'whole')
    if adapted:  # another process takes seconds
        Path('parts').mkdir()
        shutil.copy('whole/iter_1.pth', 'parts/iter_1.pth')
    assert code == 0 and 'loss_masked' in printed, printed
    assert ('are trained (100.00%)' in printed) != adapted
    assert train('--work-dir', 'parts', '--resume')[0] == 0
    assert_same_state(Path('whole/iter_3.pth'), Path('parts/iter_3.pth'))

    state = load_checkpoint_file('whole/iter_3.pth')['state_dict']
    teacher = [name for name in state if name.startswith('teacher.model.backbone.timm_model.')]
    assert all('.lora_' in name for name in teacher) == adapted and teacher
    for network in ('student', 'teacher'):
        result = convert_checkpoint(
            'whole/iter_3.pth', f'{network}.pth', network=network, layout='mmseg',
            config_out=f'{network}.py',
        )  # fmt: skip
        assert result.comparison.complete and result.config['type'] == 'EncoderDecoder'
        assert 'lora' not in result.config['backbone']
    scores = [score('whole/iter_3.pth'), score('student.py', 'student.pth')]
    for name in ('checkpoint', 'content', 'custom/images_per_second'):
        assert all(one.pop(name) for one in scores)
    assert scores[0] == scores[1]
    back = convert_checkpoint('student.pth', 'back.pth', config_out='back.py')
    assert back.comparison.complete
    image = torch.randn(1, 3, 40, 56)
    networks = [load_model(f'{name}.py', f'{name}.pth') for name in ('student', 'back', 'teacher')]
    with torch.no_grad():
        logits = [network(image, mode='tensor') for network in networks]
        trained = load('whole/iter_3.pth').model(image, mode='tensor')
    assert logits[0].shape == (1, 19, 12, 16) and torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], trained) and not torch.equal(logits[0], logits[2])
    if not adapted:
        assert all(
            torch.equal(value, state[f'student.{name}'])
            for name, value in networks[0].state_dict().items()
        )
