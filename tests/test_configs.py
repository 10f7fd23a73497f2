"""Every config builds the model that its name says."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS

from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.engine.config import read_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path
    for path in (ROOT / 'configs').rglob('*.py')
    if '_base_' not in path.parts and not path.name.startswith('_')
)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_config_reads_without_unknown_names_and_says_how_to_run_it(path):
    config = read_config(path)
    assert config.model.type in ('DSRNSS', 'SourceOnly')
    command = f'python tools/train.py {path.relative_to(ROOT)}'
    assert command in path.read_text().split('"""')[1]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_model_builds(path):
    config = read_config(path)
    config.model.student.backbone.pop('init_cfg', None)
    backbone = config.model.student.backbone
    if backbone.type == 'EfficientNetLite0':
        pytest.importorskip('timm')
    if backbone.get('arch') == 'b5':
        backbone.arch = 'b0'  # the same code, in a tenth of the time
        head = config.model.student.decode_head
        head.head.in_channels = head.scale_attention.in_channels = [32, 64, 160, 256]
    model = MODELS.build(config.model)
    assert model.student.num_classes == len(CLASSES)
    crop = config.train_dataloader.dataset.crop_size
    if config.model.get('bank'):
        assert tuple(config.model.bank.size) == tuple(crop)


def test_class_lists_of_the_configs_are_those_of_the_table():
    config = Config.fromfile(ROOT / 'configs/_base_/classes.py')
    assert tuple(config.class_names) == CLASSES
    assert {group: tuple(config[group]) for group in GROUPS} == GROUPS


def test_the_papers_run_has_the_papers_numbers():
    config = read_config(ROOT / 'configs/dsr_hrda_darkzurich.py')
    assert (config.model.alpha, config.model.beta) == (1.0, 0.1)
    assert config.model.teacher.momentum == 0.999
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 6e-4, 0.01)
    assert config.train_cfg.max_iters == 40000
    assert config.param_scheduler.power == 0.9 and config.param_scheduler.warmup == 1500
    assert config.model.alignment.start == 10000
    assert config.train_dataloader.batch_size == 2
    assert tuple(config.train_dataloader.dataset.crop_size) == (1024, 1024)


def test_runs_that_are_compared_differ_in_the_method_only():
    for folder, names in {
        'demo': (
            'source_only_hrda_nightscape',
            'source_only_augmented_hrda_nightscape',
            'classmix_hrda_nightscape',
            'dsr_hrda_nightscape',
        ),
        'camvid': (
            'source_only_camviddusk',
            'source_only_augmented_camviddusk',
            'classmix_camviddusk',
            'dsr_camviddusk',
        ),
    }.items():
        configs = [read_config(ROOT / f'configs/{folder}/{name}.py') for name in names]
        for key in ('train_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg'):
            assert all(c[key] == configs[0][key] for c in configs), (folder, key)
        assert all(c.model.student == configs[0].model.student for c in configs)
