"""The naive forms compute what ours does; an aligner and the correlation have times."""

import pytest
import torch

from dsr_nss.engine.config import read_config
from dsr_nss.errors import ConfigError
from dsr_nss.matching.correlation import local_correlation
from dsr_nss.studies.benchmark.align import (
    benchmark_align,
    benchmark_correlation,
    format_align,
    shifted_products,
    unfolded,
)

CPU = torch.device('cpu')


@pytest.mark.parametrize('naive', [shifted_products, unfolded])
def test_naive_forms_are_the_same_correlation(naive):
    torch.manual_seed(0)
    target, reference = torch.randn(2, 2, 3, 11, 13, dtype=torch.float64)
    torch.testing.assert_close(naive(target, reference), local_correlation(target, reference))


def test_an_aligner_is_timed(repo_root):
    config = read_config(repo_root / 'configs/demo/dsr_hrda_nightscape.py')
    costs = benchmark_align(config, CPU, size=(32, 48), warmup=0, repeats=2)
    assert list(costs) == ['Identity'] and costs['Identity']['repeats'] == 2
    without = read_config(
        repo_root / 'configs/demo/dsr_hrda_nightscape.py',
        overlays=[repo_root / 'configs/ablations/classmix.py'],
    )
    with pytest.raises(ConfigError, match='no model.refinement.aligner'):
        benchmark_align(without, CPU, size=(32, 48), warmup=0, repeats=2)


def test_unfolding_holds_every_neighbour_at_once():
    shape = (1, 16, 32, 32)
    costs = benchmark_correlation(CPU, shape=shape, warmup=0, repeats=1)
    assert set(costs) == {'local_correlation', 'shifted products', 'unfold'}
    assert costs['unfold']['peak_memory'] > 81 * 16 * 32 * 32 * 4
    assert costs['local_correlation']['peak_memory'] < costs['unfold']['peak_memory'] / 4


def test_a_form_with_too_little_memory_is_a_row(monkeypatch):
    def fail(target, reference):
        raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr('dsr_nss.studies.benchmark.align.unfolded', fail)
    costs = benchmark_correlation(CPU, shape=(1, 4, 9, 9), warmup=0, repeats=2)
    assert costs['unfold'] == {'failed': 'out of memory'}
    assert costs['local_correlation']['repeats'] == 2
    device = dict(device='a CPU', threads=1, torch='2', commit='abc')
    lines = format_align({**device, 'size': [36, 36], **costs}).splitlines()
    assert lines[5].split() == ['unfold', 'out', 'of', 'memory'] and lines[3].split()[-1] == '2'
