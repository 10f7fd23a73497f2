"""The order of sample numbers over processes, steps and a resumed run."""

from itertools import islice

import pytest
from mmseg.registry import DATA_SAMPLERS

from dsr_nss.datasets import StepSampler


def sampler(monkeypatch, rank=0, world_size=1):
    monkeypatch.setattr('dsr_nss.datasets.sampler.get_dist_info', lambda: (rank, world_size))
    return DATA_SAMPLERS.build(dict(type='StepSampler', dataset=range(5), seed=3))


def test_one_process_counts_without_end(monkeypatch):
    one = sampler(monkeypatch)
    assert isinstance(one, StepSampler)
    assert list(islice(one, 12)) == list(range(12))
    assert len(one) == 5


@pytest.mark.parametrize(('world_size', 'batch'), [(1, 4), (2, 2), (4, 1)])
def test_every_step_takes_the_same_numbers_whatever_the_world_size(monkeypatch, world_size, batch):
    ranks = [iter(sampler(monkeypatch, rank, world_size)) for rank in range(world_size)]
    for step in range(3):
        taken = sorted(i for rank in ranks for i in islice(rank, batch))
        assert taken == list(range(step * 4, step * 4 + 4))


def test_skip(monkeypatch):
    second = sampler(monkeypatch, rank=1, world_size=2)
    second.skip(3)
    assert list(islice(second, 2)) == [7, 9]
    with pytest.raises(ValueError, match='cannot skip -1'):
        second.skip(-1)
