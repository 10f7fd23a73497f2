"""Growth of a step: its rows, its ratios, and sizes that cannot be measured."""

from unittest import mock

import pytest
import torch

from dsr_nss.engine.config import read_config
from dsr_nss.errors import ConfigError
from dsr_nss.studies.benchmark import growth
from dsr_nss.studies.benchmark.growth import Case, benchmark_growth
from dsr_nss.studies.benchmark.timing import Turns, summarise

CPU = torch.device('cpu')
SHORT = Turns(CPU, warmup=0, repeats=1)


@pytest.fixture
def config(repo_root):
    """The small method at a crop of 64."""
    size = (64, 64)
    options = {'train_dataloader.dataset.crop_size': size, '+model.bank.size': size}
    return read_config(repo_root / 'configs/demo/dsr_hrda_nightscape.py', options)


def measured(seconds, peak, bank=0):
    return {**summarise([seconds]), 'peak_memory': peak, 'bank_memory': bank}


def replaced(results):
    """Measurements without a step: case -> cost, or an error that is raised."""

    def measure(case, *_):
        result = results[case]
        if isinstance(result, Exception):
            raise result
        return result

    return mock.patch.object(growth, '_measure', measure)


def test_steps_of_all_sizes(config):
    sizes = dict(crops=[96, 64], batches=[3], banks=[2, 5])
    report = benchmark_growth(config, SHORT, **sizes)
    rows = report.content['rows']
    assert [row['crop'] for row in rows['crop']] == [64, 96]
    assert rows['crop'][1]['work'] == 2.25
    assert rows['crop'][1]['peak_memory'] > 1.5 * rows['crop'][0]['peak_memory']
    assert [row['bank'] for row in rows['bank']] == [2, 5]
    # five bytes a pixel (image, label, mask), one spare slot, 264 bytes of its own
    for row in rows['bank']:
        assert row['bank_memory'] == 5 * 64 * 64 * (row['bank'] + 1) + 264
    assert {row['batch'] for row in rows['batch']} == {3}
    for row in (row for part in rows.values() for row in part):
        assert row['median_s'] > 0 and row['repeats'] == 1
        assert row['time_to_linear'] == pytest.approx(row['time_growth'] / row['work'])


def test_ratios_to_linear_growth(config):
    results = {
        Case(64, 2, 6): measured(1.0, 100, bank=20),
        Case(128, 2, 6): measured(6.0, 280, bank=80),
    }
    with replaced(results):
        report = benchmark_growth(config, SHORT, crops=[64, 128], batches=[], banks=[])
    row = report.content['rows']['crop'][1]
    assert (row['work'], row['time_growth'], row['time_to_linear']) == (4.0, 6.0, 1.5)
    assert (row['memory_growth'], row['memory_to_linear']) == (3.0, 0.75)
    assert list(report.content['rows']) == ['crop']
    cells = report.text.splitlines()[-1].split()
    assert cells[0:2] == ['128', '4.00'] and cells[-4:] == ['6.00', '1.50', '3.00', '0.75']


def test_too_little_memory_is_a_row(config):
    results = {
        Case(64, 1, 6): torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB'),
        Case(64, 2, 6): measured(1.0, 100),
        Case(64, 4, 6): RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'),
        Case(64, 8, 6): measured(4.0, 200),
    }
    with replaced(results):
        report = benchmark_growth(config, SHORT, crops=[], batches=[1, 2, 4, 8], banks=[])
    rows = report.content['rows']['batch']
    assert [row.get('failed') for row in rows] == ['out of memory', None, 'out of memory', None]
    assert rows[3]['work'] == 4.0 and rows[3]['time_to_linear'] == 1.0  # beside the first there is
    assert report.text.count('out of memory') == 2


def test_other_errors_are_raised(config):
    with (
        replaced({Case(64, 1, 6): RuntimeError('shapes do not fit')}),
        pytest.raises(RuntimeError, match='shapes'),
    ):
        benchmark_growth(config, SHORT, crops=[], batches=[1], banks=[])


def test_what_there_is_no_time_for_is_a_row(config):
    results = {Case(64, batch, 6): measured(1.0, 100) for batch in (1, 2)}
    with replaced(results):
        report = benchmark_growth(
            config, SHORT._replace(end=0.0), crops=[], batches=[1, 2], banks=[]
        )
    first, second = report.content['rows']['batch']
    assert first['median_s'] == 1.0 and 'time was over' in second['failed']
    assert 'time was over' in report.text


def test_a_config_without_a_bank(repo_root):
    options = {'train_dataloader.dataset.crop_size': (64, 64)}
    path = repo_root / 'configs/demo/source_only_hrda_nightscape.py'
    config = read_config(path, options)
    report = benchmark_growth(config, SHORT, crops=[64], batches=[])
    assert (
        list(report.content['rows']) == ['crop']
        and report.content['rows']['crop'][0]['bank_memory'] == 0
    )
    assert 'no bank' in report.text
    with pytest.raises(ConfigError, match=r'no model\.bank'):
        benchmark_growth(config, SHORT, crops=[], batches=[], banks=[4])


def test_sizes_are_positive(config):
    with pytest.raises(ConfigError, match=r'each batch must be a positive number, got \[2, 0\]'):
        benchmark_growth(config, SHORT, crops=[], batches=[2, 0], banks=[])
