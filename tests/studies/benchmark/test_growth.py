"""Growth of a step: its rows, its ratios, and sizes that cannot be measured."""

from unittest import mock

import pytest
import torch

from dsr_nss.engine.config import read_config
from dsr_nss.errors import ConfigError
from dsr_nss.studies.benchmark import growth
from dsr_nss.studies.benchmark.growth import Case, format_growth, report_growth
from dsr_nss.studies.benchmark.timing import summarise, time_limit

CPU = torch.device('cpu')
SHORT = dict(warmup=0, repeats=1)


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

    def measure(self, case):
        result = results[case]
        if isinstance(result, Exception):
            raise result
        return result

    return mock.patch.object(growth._Steps, '_measure', measure)


def test_steps_of_all_sizes(config):
    sizes = dict(crops=[96, 64], batches=[3], banks=[2, 5])
    report = report_growth(config, CPU, **sizes, **SHORT)
    rows = report['rows']
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
        report = report_growth(config, CPU, crops=[64, 128], batches=[], banks=[], **SHORT)
    row = report['rows']['crop'][1]
    assert (row['work'], row['time_growth'], row['time_to_linear']) == (4.0, 6.0, 1.5)
    assert (row['memory_growth'], row['memory_to_linear']) == (3.0, 0.75)
    assert list(report['rows']) == ['crop']
    text = format_growth(report)
    assert '6.00 (1.50)' in text and '3.00 (0.75)' in text and '4.00x' in text


def test_too_little_memory_is_a_row(config):
    results = {
        Case(64, 1, 6): torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB'),
        Case(64, 2, 6): measured(1.0, 100),
        Case(64, 4, 6): RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'),
        Case(64, 8, 6): measured(4.0, 200),
    }
    with replaced(results):
        report = report_growth(config, CPU, crops=[], batches=[1, 2, 4, 8], banks=[], **SHORT)
    rows = report['rows']['batch']
    assert [row.get('failed') for row in rows] == ['out of memory', None, 'out of memory', None]
    assert rows[3]['work'] == 4.0 and rows[3]['time_to_linear'] == 1.0  # beside the first there is
    assert format_growth(report).count('out of memory') == 2


def test_other_errors_are_raised(config):
    with (
        replaced({Case(64, 1, 6): RuntimeError('shapes do not fit')}),
        pytest.raises(RuntimeError, match='shapes'),
    ):
        report_growth(config, CPU, crops=[], batches=[1], banks=[], **SHORT)


def test_what_there_is_no_time_for_is_a_row(config):
    results = {Case(64, batch, 6): measured(1.0, 100) for batch in (1, 2)}
    with replaced(results), time_limit(0.0):
        report = report_growth(config, CPU, crops=[], batches=[1, 2], banks=[], **SHORT)
    first, second = report['rows']['batch']
    assert first['median_s'] == 1.0 and 'time was over' in second['failed']
    assert 'time was over' in format_growth(report)


def test_a_config_without_a_bank(repo_root):
    options = {'train_dataloader.dataset.crop_size': (64, 64)}
    path = repo_root / 'configs/demo/source_only_hrda_nightscape.py'
    config = read_config(path, options)
    report = report_growth(config, CPU, crops=[64], batches=[], **SHORT)
    assert list(report['rows']) == ['crop'] and report['rows']['crop'][0]['bank_memory'] == 0
    assert 'no bank' in format_growth(report)
    with pytest.raises(ConfigError, match=r'no model\.bank'):
        report_growth(config, CPU, crops=[], batches=[], banks=[4], **SHORT)


def test_sizes_are_positive(config):
    with pytest.raises(ConfigError, match=r'batches must be positive numbers, got \[2, 0\]'):
        report_growth(config, CPU, crops=[], batches=[2, 0], banks=[], **SHORT)
