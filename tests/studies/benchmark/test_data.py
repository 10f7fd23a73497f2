"""The benchmark of the training data: what is counted, and what grows."""

import json
import math
import time
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS
from torch.utils.data import DataLoader, Dataset

from dsr_nss.datasets import images, png
from dsr_nss.datasets.preparation.pixel_cache import plan_cache, write_cache
from dsr_nss.errors import ConfigError
from dsr_nss.studies.benchmark import data, timing
from dsr_nss.studies.benchmark.data import (
    PARTS,
    STAGES,
    benchmark_data,
    benchmark_items,
    memory_growth,
    peak_memory_of,
    soak,
    watch_memory,
)
from dsr_nss.studies.benchmark.stages import StageMeter
from dsr_nss.studies.benchmark.timing import Turns
from tests.datasets.tiny_sets import make_cityscapes, make_dark_zurich

CPU = torch.device('cpu')


@pytest.fixture
def config(tmp_path):
    make_cityscapes(tmp_path / 'cs')
    make_dark_zurich(tmp_path / 'dz')
    dataset = dict(
        type='SourceTargetDataset',
        source=dict(type='Cityscapes', data_root=str(tmp_path / 'cs'), split='train'),
        target=dict(type='DarkZurich', data_root=str(tmp_path / 'dz'), split='train'),
        source_scale=(12, 16),
        crop_size=(8, 8),
    )
    loader = dict(
        batch_size=2,
        num_workers=1,
        sampler=dict(type='StepSampler'),
        collate_fn=dict(type='default_collate'),
        dataset=dataset,
    )
    return Config(dict(train_dataloader=loader))


def test_stages_add_up_while_attached(config):
    dataset = DATASETS.build(config.train_dataloader.dataset)
    meter = StageMeter(time.thread_time, STAGES)
    with meter.attached(PARTS):
        dataset[0]
    once = meter.take()
    assert list(once) == ['read', 'decode', 'resize', 'crop', 'flip']
    assert all(seconds > 0 for seconds in once.values())
    dataset[1]
    assert meter.take() == {}, 'the functions are themselves again'


class Busy(Dataset):
    """An item takes some work; notes which items were asked for."""

    def __init__(self, work):
        self.work, self.numbers = work, []

    def __getitem__(self, number):
        self.numbers.append(number)
        images._decode_image(self.work, 'a')
        return {'x': torch.zeros(3), 'name': 'a'}


def test_items_are_timed_in_turns_over_the_same_numbers(monkeypatch):
    monkeypatch.setattr(images, '_decode_image', lambda work, path: sum(range(work)))
    slow, quick = Busy(400_000), Busy(1000)
    makers = {'slow': slow.__getitem__, 'quick': quick.__getitem__}
    timings = benchmark_items(makers, Turns(CPU, warmup=1, repeats=3), batch_size=2)
    assert slow.numbers == quick.numbers == list(range(8))
    assert timings['slow']['repeats'] == 3
    assert timings['slow']['mean_s'] > 5 * timings['quick']['mean_s']
    stages = timings['slow']['stages']
    assert list(stages) == ['decode', 'rest', 'collate', 'transfer']
    item = data._item_row([{'decode': 1.0, 'rest': 0.5, 'collate': 0.25, 'transfer': 9.0}])
    assert item['median_s'] == item['mean_s'] == 1.75 and item['items_per_s'] == 1 / 1.75


@pytest.mark.parametrize(('repeats', 'batches'), [(1, 8), (6, 8), (12, 12)])
@pytest.mark.parametrize('warmup', [0, 1, 2, 3])
def test_workers_in_step_do_not_seem_faster(monkeypatch, warmup, repeats, batches):
    """Four workers hand over four batches at once and then none for 0.2 s: 20 a second."""
    now = 0.0

    @contextmanager
    def training_loader(config, workers):
        def bursts():
            nonlocal now
            while True:
                now += 0.2
                yield from range(workers)

        yield bursts(), workers

    monkeypatch.setattr(data, 'training_loader', training_loader)
    monkeypatch.setattr(timing, 'time', SimpleNamespace(perf_counter=lambda: now))
    config = Config(dict(train_dataloader=dict(batch_size=2)))
    result = data.benchmark_loader(config, Turns(CPU, warmup, repeats), workers=4)
    assert result['batches'] == batches
    assert result['items_per_s'] == pytest.approx(2 * 20)
    assert result['repeats'] == batches // 4
    for key in ('median_s', 'mean_s', 'min_s', 'max_s'):
        assert result[key] == pytest.approx(1 / 20)


def test_report(config, tmp_path):
    folder = tmp_path / 'cache'
    write_cache(plan_cache(config.train_dataloader.dataset, folder))
    turns = Turns(CPU, warmup=1, repeats=2)
    report = benchmark_data(config, turns, cache=str(folder), workers=1, step_time=1e-3)
    items = report.content['items']
    *decoded, cached = items
    assert cached == f'cache {folder}' and len(decoded) == 1 + png.available()
    assert decoded[0] == 'files, PNG by OpenCV'
    files, cached = items[decoded[-1]], items[cached]
    assert tuple(files['stages']) == STAGES
    assert 'decode' not in cached['stages'] and 'read' in cached['stages']
    for row in (files, cached):
        assert row['loader']['items_per_s'] > 0 and row['loader']['workers'] == 1
        assert row['loader']['peak_memory'] > 2**20
        assert row['workers'] == max(1, math.ceil(2 * row['mean_s'] / 1e-3))
        assert row['times_first'] == items[decoded[0]]['median_s'] / row['median_s']
    assert 'items/s' in report.text and '\ndecode ' in report.text
    assert 'steps of 0.001 s' in report.text and 'batch of 2 from the loader' in report.text
    assert '\ndecode ' not in benchmark_data(config, turns, stages=False).text


def test_data_that_have_no_cache(config, tmp_path):
    loader = config.train_dataloader
    images = loader.dataset.target
    loader.dataset = dict(type='ReferencePairs', images=images, size=(8, 8))
    turns = Turns(CPU, warmup=0, repeats=2)
    items = benchmark_data(config, turns, workers=1).content['items']
    assert all(row['stages']['decode']['median_s'] > 0 for row in items.values())
    for measure in (benchmark_data, partial(soak, minutes=3)):
        with pytest.raises(ConfigError, match='SourceTargetDataset has a cache, not a Reference'):
            measure(config, turns, cache=str(tmp_path))


def test_growth_is_the_slope_after_the_warm_up():
    seconds = np.linspace(0, 600, 61)
    memory = 2**20 * (100 + np.where(seconds < 100, 900, 3 * seconds / 60))
    watch = memory_growth(seconds, memory)
    assert watch['warm_up'] == 2.5 and watch['minutes'] == 10
    assert watch['growth_per_minute'] / 2**20 == pytest.approx(3, abs=0.01)
    assert watch['least'] / 2**20 == 107.5 and watch['most'] / 2**20 == 130


class Leaky(Dataset):
    """Keeps 4 MiB of every item."""

    def __init__(self):
        self.kept = []

    def __len__(self):
        return 10**6

    def __getitem__(self, number):
        self.kept.append(np.ones(2**22, np.uint8))
        return torch.zeros(1)


def test_a_leak_in_a_worker_is_seen():
    iterator = iter(DataLoader(Leaky(), num_workers=1))
    seconds, memory = watch_memory(islice(iterator, 30), minutes=10, interval=0.001)
    iterator._shutdown_workers()
    assert memory[-1] - memory[0] > 60 * 2**20
    assert memory_growth(seconds, memory)['growth_per_minute'] > 0


def test_too_short_a_soak(config):
    with pytest.raises(ConfigError, match='too short'):
        soak(config, Turns(CPU), minutes=0.01)


def test_memory_of_a_process_that_is_gone():
    assert peak_memory_of([2**30]) == 0


def test_soak_of_a_config(config, monkeypatch):
    def watch(batches, minutes):
        assert minutes == 3 and len(next(batches)['night_image']) == 2
        return np.array([0, 60, 120, 180]), 2**20 * np.array([9, 10, 13, 16])

    monkeypatch.setattr(data, 'watch_memory', watch)
    text = soak(config, Turns(CPU), minutes=3, workers=1).text
    assert text.split()[-5:] == ['3.0', '0.8', '10', '16', '+3.00']


def test_command_line(config, tmp_path, run_tool, capsys):
    path = tmp_path / 'config.py'
    path.write_text(
        f'train_dataloader = {config.train_dataloader.to_dict()!r}\n'
        "model = dict(type='X')\ntrain_cfg = dict()\noptim_wrapper = dict()\n"
    )
    run = partial(run_tool, 'benchmark', 'data', path, '--device', 'cpu')
    assert run('--warmup', 1, '--repeats', 2, '--json', tmp_path / 'data.json') == 0
    assert 'files, PNG by OpenCV' in capsys.readouterr().out
    report = json.loads((tmp_path / 'data.json').read_text())
    assert report['items']['files, PNG by OpenCV']['repeats'] == 2
    assert run('--cache', tmp_path / 'gone') == 2
    assert 'prepare_data.py --cache CONFIG' in capsys.readouterr().err
