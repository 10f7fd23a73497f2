"""Dense matching from images to an aligner: `tools/train.py` on two images, then the checkpoint."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

import dsr_nss  # noqa: F401  registers the classes
from tests.datasets.tiny_sets import write_image

OPTIONS = (
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'train_dataloader.dataset.size=(48,96)',
    'model.crop_size=(32,64)',
    'train_cfg.max_iters=3',
    'param_scheduler.warmup=1',
    'model.bipath_start=2',
    'default_hooks.logger.interval=1',
    'default_hooks.panel.interval=3',
)


@pytest.fixture
def pair_lists(tmp_path):
    """A CSV of one pair and one single image."""
    for name in 'abc':
        write_image(tmp_path / f'{name}.png', np.random.default_rng(ord(name)), (48, 96))
    (tmp_path / 'pairs.csv').write_text('target,reference\na.png,b.png\nc.png,\n')
    return tmp_path / 'pairs.csv'


def test_a_training_ends_in_a_checkpoint_that_the_aligner_loads(repo_root, pair_lists, tmp_path):
    config = tmp_path / 'small.py'
    config.write_text(
        f"_base_ = ['{repo_root}/configs/align/uawarpc_nightscape.py']\n"
        f"train_dataloader = dict(dataset=dict(_delete_=True, type='PairList', "
        f"pairs='{pair_lists}', size=(48, 96)))\n"
    )
    command = [sys.executable, repo_root / 'tools/train.py', config, '--work-dir', tmp_path / 'run']
    result = subprocess.run(
        [*map(str, command), '--cfg-options', *OPTIONS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert 'loss_bipath' in result.stdout and 'tools/test_align.py' in result.stdout
    assert (tmp_path / 'run/vis/iter_000003.png').is_file()

    pyramid = dict(
        type='BackbonePyramid',
        backbone=dict(type='EfficientNetLite0'),
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    )
    file = tmp_path / 'run/iter_3.pth'
    aligner = MODELS.build(
        dict(
            type='UAWarpC',
            pyramid=pyramid,
            init_cfg=dict(type='Pretrained', checkpoint=str(file)),
        )
    )
    aligner.init_weights()
    trained = torch.load(file, weights_only=False)['state_dict']
    loaded = aligner.network.state_dict()
    assert {f'network.{name}' for name in loaded} == trained.keys() - {'step'}
    assert all(torch.equal(value, trained[f'network.{name}']) for name, value in loaded.items())
