"""The size of checkpoints is told before the run, and a disk that is too small."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch import nn

from dsr_nss.engine.disk_space import checkpoint_bytes, disk_problems

ADAM = dict(type='AdamW', lr=1e-3)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.student, self.frozen = nn.Linear(300, 500), nn.Linear(300, 500).requires_grad_(False)
        self.register_buffer('bank', torch.zeros(1000, 300, dtype=torch.uint8))


@pytest.mark.parametrize('name', ['AdamW', 'SGD'])
def test_the_estimate_is_the_size_of_the_file(name, tmp_path):
    settings = dict(type=name, lr=0.1, **(dict(momentum=0.9) if name == 'SGD' else {}))
    with torch.device('meta'):
        estimate = checkpoint_bytes(Network(), settings)
    network = Network()
    arguments = {k: v for k, v in settings.items() if k != 'type'}
    optimizer = getattr(torch.optim, name)(
        [p for p in network.parameters() if p.requires_grad], **arguments
    )
    network.student(torch.ones(300)).sum().backward()
    optimizer.step()
    file = tmp_path / 'x.pth'
    torch.save(dict(state_dict=network.state_dict(), optimizer=optimizer.state_dict()), file)
    assert estimate == pytest.approx(file.stat().st_size, rel=0.02)


def test_every_further_process_saves_its_bank(monkeypatch):
    one = checkpoint_bytes(Network(), ADAM)
    monkeypatch.setenv('WORLD_SIZE', '3')
    assert checkpoint_bytes(Network(), ADAM) - one == 2 * 300_000


@pytest.mark.parametrize(
    ('hook', 'files'),
    [
        (dict(interval=10, max_keep_ckpts=2), 3),  # the new one before the oldest goes
        (dict(interval=10, max_keep_ckpts=2, save_best='mIoU'), 4),
        (dict(interval=30, max_keep_ckpts=-1), 4),
        (dict(interval=100, max_keep_ckpts=5), 1),
        (dict(type='CheckpointHook', interval=-1), 1),  # at the end alone
    ],
)
def test_a_disk_that_is_too_small_is_told_with_the_numbers(hook, files, tmp_path, monkeypatch):
    config = Config(
        dict(
            work_dir=str(tmp_path / 'run'),
            train_cfg=dict(max_iters=100),
            default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook') | hook),
        )
    )
    free = SimpleNamespace(free=int(files * 5e6))
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: free)
    assert list(disk_problems(config, int(5e6))) == []
    free.free -= 1
    (problem,) = disk_problems(config, int(5e6))
    assert f'up to {files} checkpoints of about 5 MB' in problem
    assert f'{files * 5} MB more than now, but only {files * 5} MB are free' in problem
    # those of the run that is resumed lie there already
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/iter_10.pth').write_bytes(b'12')
    assert list(disk_problems(config, int(5e6))) == []
