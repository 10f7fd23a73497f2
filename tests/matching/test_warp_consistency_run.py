"""Matching trains through the runner, the hooks and the checkpoints of the other trainings."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from dsr_nss.engine.config import check_config
from dsr_nss.engine.launch import configure_run, train
from dsr_nss.engine.resume_points import latest_checkpoint
from tests.matching.networks import TINY

BASE = Path(__file__).resolve().parents[2] / 'configs/_base_'


@DATASETS.register_module()
class RandomPairs(Dataset):
    """Items of an image pair set, from the sample number alone."""

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> dict:
        generator = torch.Generator().manual_seed(1000 * self.seed + number)
        image = torch.randint(256, (2, 3, 24, 40), generator=generator, dtype=torch.uint8)
        return dict(
            target=image[0],
            reference=image[1],
            has_reference=torch.tensor(number % 2 == 0),
            files=dict(target=f'{number}.png', reference=f'{number}_ref.png'),
        )


def run(tmp_path, name, iterations=4, resume=None):
    path = tmp_path / 'config.py'
    path.write_text(
        f"_base_ = ['{BASE}/default_runtime.py', '{BASE}/models/uawarpc.py', "
        f"'{BASE}/schedules/uawarpc_stage1.py']\n"
        'model = dict(crop_size=(16, 32), train_pyramid=True,\n'
        f'    pyramid=dict(_delete_=True, **{TINY}))\n'
        "train_dataloader = dict(batch_size=2, num_workers=0, sampler=dict(type='StepSampler'),\n"
        "    collate_fn=dict(type='default_collate'), dataset=dict(type='RandomPairs'))\n"
        f'train_cfg = dict(max_iters={iterations}, val_interval=100)\n'
        'default_hooks = dict(logger=dict(interval=2), panel=dict(interval=4),\n'
        '    checkpoint=dict(interval=2))\n'
        "visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])\n"
    )
    config = Config.fromfile(str(path))
    check_config(config)
    config.experiment_name = f'{tmp_path.name}_{name}'
    configure_run(config, work_dir=str(tmp_path / name), resume=resume, amp='bf16', seed=3)
    train(config, allow_changes=True)  # of the length of the run
    checkpoint = latest_checkpoint(tmp_path / name)
    assert checkpoint is not None
    return torch.load(checkpoint, weights_only=False)


def test_a_resumed_training_ends_as_the_unbroken_one_and_pictures_are_written(tmp_path):
    whole = run(tmp_path, 'whole')
    run(tmp_path, 'broken', iterations=2)
    resumed = run(tmp_path, 'broken', resume='auto')
    assert resumed['meta']['iter'] == whole['meta']['iter'] == 4
    names = whole['state_dict'].keys()
    assert names == resumed['state_dict'].keys()
    assert all(name == 'step' or name.startswith('network.') for name in names)
    for name in names:
        assert torch.equal(whole['state_dict'][name], resumed['state_dict'][name]), name
    assert (tmp_path / 'whole/vis/iter_000004.png').is_file()
    scalars = next((tmp_path / 'whole').rglob('scalars.json')).read_text()
    for number in ('loss_bipath', 'loss_warp_supervision', 'warp_epe', 'visible_share'):
        assert f'"{number}"' in scalars, number


def test_the_published_schedules():
    for stage, lr, milestones, length in (
        (1, 1e-4, [250000, 325000], 400000),
        (2, 5e-5, [100000, 150000, 200000], 225000),
    ):
        config = Config.fromfile(str(BASE / f'schedules/uawarpc_stage{stage}.py'))
        assert config.optim_wrapper.optimizer == dict(type='Adam', lr=lr, weight_decay=4e-4)
        assert config.param_scheduler.milestones == milestones
        assert config.param_scheduler.gamma == 0.5 and config.train_cfg.max_iters == length


@pytest.mark.parametrize('name', ['uawarpc', 'uawarpc_stage2', 'uawarpc_efficientnet_lite0'])
def test_the_models_of_the_configs_have_no_unknown_fields(name):
    config = Config.fromfile(str(BASE / f'models/{name}.py'))
    config.train_dataloader = dict(dataset=dict(type='RandomPairs'))
    config.optim_wrapper, config.train_cfg = dict(type='OptimWrapper'), dict(max_iters=1)
    check_config(config)
    assert config.model.get('visibility_mask', False) == (name == 'uawarpc_stage2')
