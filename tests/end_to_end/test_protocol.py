"""The runs of docs/protocol.md: equal but for what a row is about, and able to train."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from dsr_nss.engine.config import read_config
from dsr_nss.studies.benchmark.step import build_step, random_items
from dsr_nss.studies.tables.own_tables import own_table
from dsr_nss.studies.tables.runs import Run, Settings

ROOT = Path(__file__).parents[2]
PLACES = ('nightscape', 'camviddusk')
KINDS = ('source', 'continued_source', 'dsr_from_source')


def read(kind, place, **fields):
    return read_config(ROOT / f'configs/protocol/{kind}_{place}.py', **fields)


ROWS = sorted((ROOT / 'configs/protocol/rows').glob('*.py'))


def rows_of(place):
    return Config.fromfile(str(ROOT / f'configs/protocol/rows/protocol_{place}.py')).rows


def config_of(row):
    overlays = [ROOT / overlay for overlay in row.get('overlays', ())]
    return read_config(ROOT / row.config, dict(row.get('options', {})), overlays=overlays)


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('kind', KINDS)
def test_it_takes_two_steps(kind, place):
    config = read(kind, place)
    config.train_dataloader.dataset.crop_size = (64, 64)
    if kind == 'dsr_from_source':
        config.model.bank.size = (64, 64)
        if config.model.refinement:
            # the matcher is an optional package, and finds nothing in noise
            config.model.refinement.aligner = dict(type='Identity')
    model, wrapper = build_step(config, torch.device('cpu'), amp=None)
    for _ in range(2):
        log = model.train_step(random_items(config), wrapper)
    assert all(torch.isfinite(value) for value in log.values())
    expected = {'loss_source'}
    if kind == 'dsr_from_source':
        expected |= {'loss_mixed', 'loss_proto'}
    assert {name for name in log if name.startswith('loss_')} == expected


@pytest.mark.parametrize('place', PLACES)
def test_the_second_phase_starts_where_the_first_one_ends(place):
    first = read('source', place)
    starts = dict(
        nightscape='dsr_nss::protocol/source_nightscape.safetensors',  # it comes with the package
        camviddusk=f'work_dirs/source_camviddusk/iter_{first.train_cfg.max_iters}.pth',
    )
    for kind in KINDS[1:]:
        config = read(kind, place)
        assert config.load_from == starts[place]
        assert config.model.student == first.model.student
        assert config.train_dataloader.dataset.source == first.train_dataloader.dataset.source
    assert min(first.train_dataloader.dataset.crop_size) >= 256
    assert first.train_cfg.max_iters >= 4000 and first.train_dataloader.dataset.target is None


@pytest.mark.parametrize('file', ROWS, ids=lambda path: path.stem)
def test_rows_differ_in_the_method_only(file):
    table = own_table(file, 'nightscape')
    assert len(table.columns) == 1
    rows = {row.name: Run(row, 0, Settings('')).config() for row in table.rows}
    first = read('continued_source', file.stem.split('_')[1])
    replicate = rows.pop('replicate', None)
    assert len({str(config.model) for config in rows.values()}) == len(rows)
    for name, config in rows.items():
        for key in (
            'train_dataloader',
            'optim_wrapper',
            'param_scheduler',
            'train_cfg',
            'load_from',
        ):
            assert config[key] == first[key], (name, key)
        assert config.model.student == first.model.student, name
    if replicate is not None:
        assert replicate.model == rows['with_fpa'].model
        assert replicate.param_scheduler != first.param_scheduler


def test_a_row_is_the_same_in_every_table():
    """Their runs share a folder."""
    for place in PLACES:
        rows = [row for file in ROWS if place in file.stem for row in Config.fromfile(file).rows]
        known = {}
        for row in rows:
            trained = {key: row.get(key) for key in ('config', 'overlays', 'options')}
            assert known.setdefault(row.name, trained) == trained


def test_the_ladder_adds_one_part_a_row():
    parts = ('refinement', 'mixup', 'bank', 'alignment')
    names = (
        'classmix',
        'with_refinement',
        'with_composite_mask',
        'with_bank',
        'with_fpa_plain',
        'with_fpa',
    )
    rows = {row.name: config_of(row).model for row in rows_of('nightscape')}
    order = [name for name in rows if name in names]
    assert order == list(names)
    for i, part in enumerate((*parts, 'alignment')):
        before, after = rows[order[i]], rows[order[i + 1]]
        assert [p for p in parts if before[p] != after[p]] == [part], order[i + 1]
    method = rows['with_fpa']
    assert method.alignment.start == 1 and method.teacher.momentum == 0.99
    assert 'confidence_threshold' not in method  # the published 0.968
