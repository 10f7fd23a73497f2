"""The naive forms compute what ours does; an aligner and the correlation have times."""

import pytest
import torch

from dsr_nss.engine.config import read_config
from dsr_nss.errors import ConfigError
from dsr_nss.matching.correlation import local_correlation
from dsr_nss.studies.benchmark.align import (
    benchmark_align,
    benchmark_correlation,
    shifted_products,
    unfolded,
)
from dsr_nss.studies.benchmark.timing import COSTS, Turns, table

CPU = torch.device('cpu')


@pytest.mark.parametrize('naive', [shifted_products, unfolded])
def test_naive_forms_are_the_same_correlation(naive):
    torch.manual_seed(0)
    target, reference = torch.randn(2, 2, 3, 11, 13, dtype=torch.float64)
    torch.testing.assert_close(naive(target, reference), local_correlation(target, reference))


def test_an_aligner_is_timed(repo_root):
    config = read_config(repo_root / 'configs/demo/dsr_hrda_nightscape.py')
    report = benchmark_align(config, Turns(CPU, 0, 2), size=(32, 48))
    assert report.content['Identity']['repeats'] == 2
    assert 'image pair of 32x48' in report.text and 'local_correlation' in report.text
    without = read_config(
        repo_root / 'configs/demo/dsr_hrda_nightscape.py',
        overlays=[repo_root / 'configs/ablations/classmix.py'],
    )
    with pytest.raises(ConfigError, match='no model.refinement.aligner'):
        benchmark_align(without, Turns(CPU, 0, 2), size=(32, 48))


def test_unfolding_holds_every_neighbour_at_once():
    shape = (1, 16, 32, 32)
    costs = benchmark_correlation(Turns(CPU, 0, 1), shape)
    assert set(costs) == {'local_correlation', 'shifted products', 'unfold'}
    assert costs['unfold']['peak_memory'] > 81 * 16 * 32 * 32 * 4
    assert costs['local_correlation']['peak_memory'] < costs['unfold']['peak_memory'] / 4


def test_a_form_with_too_little_memory_is_a_row(monkeypatch):
    def fail(target, reference):
        raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr('dsr_nss.studies.benchmark.align.unfolded', fail)
    costs = benchmark_correlation(Turns(CPU, 0, 2), (1, 4, 9, 9))
    assert costs['unfold'] == {'failed': 'out of memory'}
    assert costs['local_correlation']['repeats'] == 2
    lines = table('', COSTS, costs).splitlines()
    assert lines[4].split() == ['unfold', 'out', 'of', 'memory'] and lines[2].split()[-2] == '2'
