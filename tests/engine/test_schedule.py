"""The learning rate in every iteration."""

import pytest
import torch
from mmengine.optim import LinearLR, MultiStepLR, OptimWrapper, PolyLR
from torch import nn

from dsr_nss.engine.resumed_rates import built_settings, check_schedulers, restore_settings
from dsr_nss.engine.schedule import WarmupPolyLR
from dsr_nss.errors import CheckpointError, ConfigError


def reference(t: int, total: int, warmup: int = 1500) -> float:
    """The schedule as the method states it, written apart from the code."""
    if t < warmup:
        return 1e-6 * (1 - t / warmup) + t / warmup
    return ((total - t) / (total - warmup)) ** 0.9


def make(lrs=(6e-4, 6e-5)):
    groups = [dict(params=[nn.Parameter(torch.zeros(1))], lr=lr) for lr in lrs]
    return OptimWrapper(torch.optim.SGD(groups, lr=lrs[0]))


def run(wrapper, schedulers, steps):
    """The rates that each of `steps` training iterations uses."""
    seen = []
    for _ in range(steps):
        seen.append([group['lr'] for group in wrapper.optimizer.param_groups])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return torch.tensor(seen, dtype=torch.float64)


def test_every_iteration_of_the_papers_run():
    wrapper = make()
    rates = run(wrapper, [WarmupPolyLR(wrapper, end=40000, by_epoch=False)], 40000)
    expected = torch.tensor([reference(t, 40000) for t in range(40000)], dtype=torch.float64)
    torch.testing.assert_close(rates[:, 0], 6e-4 * expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(rates[:, 1], 6e-5 * expected, rtol=1e-12, atol=0)
    assert rates[0, 0] == pytest.approx(6e-10)
    assert rates[1500, 0] == pytest.approx(6e-4)
    assert (rates > 0).all()


@pytest.mark.parametrize('late', [0, 1])
def test_mmengines_pair_is_equal_if_it_ends_one_iteration_late(late):
    """Why `WarmupPolyLR` exists: the end that mmengine fills in leaves the last rate at zero."""
    wrapper = make()
    schedulers = [
        LinearLR(wrapper, start_factor=1e-6, begin=0, end=15 + late, by_epoch=False),
        PolyLR(wrapper, power=0.9, eta_min=0.0, begin=15, end=40 + late, by_epoch=False),
    ]
    rates = run(wrapper, schedulers, 40)[:, 0] / 6e-4
    expected = torch.tensor([reference(t, 40, 15) for t in range(40)], dtype=torch.float64)
    error = (rates - expected).abs().max()
    assert (error < 1e-13 and rates[-1] > 0) if late else (error > 0.01 and rates[-1] == 0)


def test_resumed_schedule_continues():
    wrapper = make()
    whole = run(wrapper, [WarmupPolyLR(wrapper, end=20, warmup=5, by_epoch=False)], 20)
    first = make()
    scheduler = WarmupPolyLR(first, end=20, warmup=5, by_epoch=False)
    run(first, [scheduler], 8)
    second = make()
    resumed = WarmupPolyLR(second, end=20, warmup=5, by_epoch=False)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert torch.equal(run(second, [resumed], 12), whole[8:])


def test_a_finished_run_goes_on_longer_without_lagging_behind():
    first, second = make(), make()
    scheduler = WarmupPolyLR(first, end=8, warmup=5, by_epoch=False)
    run(first, [scheduler], 8)
    resumed = WarmupPolyLR(second, end=20, warmup=5, by_epoch=False)
    built = built_settings(second.optimizer)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    restore_settings(second.optimizer, built, [resumed])
    whole = make()
    expected = run(whole, [WarmupPolyLR(whole, end=20, warmup=5, by_epoch=False)], 20)[8:]
    assert torch.equal(run(second, [resumed], 12), expected)


def test_a_resumed_schedule_takes_rates_and_shape_from_the_config():
    first = make()
    scheduler = WarmupPolyLR(first, end=20, warmup=5, by_epoch=False)
    run(first, [scheduler], 8)
    second = make()
    for group in second.optimizer.param_groups:
        group['lr'] *= 10
    resumed = WarmupPolyLR(second, end=40, warmup=0, power=1.0, by_epoch=False)
    built = built_settings(second.optimizer)
    for group in built:
        group['weight_decay'] = 0.5
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    restore_settings(second.optimizer, built, [resumed])
    group = second.optimizer.param_groups[0]
    assert group['weight_decay'] == 0.5 and group['initial_lr'] == pytest.approx(6e-3)
    assert group['lr'] == pytest.approx(6e-3 * (1 - 8 / 40))


def test_without_a_schedule_the_configs_rate_counts():
    first, second = make(), make()
    second.optimizer.param_groups[0]['lr'] = 0.5
    built = built_settings(second.optimizer)
    second.load_state_dict(first.state_dict())
    restore_settings(second.optimizer, built, [])
    assert second.optimizer.param_groups[0]['lr'] == 0.5


def test_schedules_that_would_not_follow_a_new_rate_refuse_it():
    wrapper = make()
    other = [PolyLR(wrapper, power=0.9, end=9, by_epoch=False)]
    ours = [WarmupPolyLR(wrapper, end=9, warmup=0, by_epoch=False)]
    check_schedulers('a.pth', ['model.alpha: 1 -> 2'], other)
    for field in (
        'optim_wrapper.optimizer.lr',
        'optim_wrapper.paramwise_cfg.backbone_lr_mult',
        'param_scheduler.power',
        'train_cfg.max_iters',  # the end of its fall
    ):
        change = f'{field}: 1 -> 2'
        check_schedulers('a.pth', [change], ours)
        with pytest.raises(CheckpointError, match=f'with {change}: a PolyLR goes on with the rate'):
            check_schedulers('a.pth', [change], other)
    steps = [MultiStepLR(wrapper, milestones=[3], by_epoch=False)]
    check_schedulers('a.pth', ['train_cfg.max_iters: 1 -> 2'], steps)  # they fall where they do


def test_no_warmup():
    wrapper = make()
    rates = run(wrapper, [WarmupPolyLR(wrapper, end=10, warmup=0, by_epoch=False)], 10)
    assert rates[0, 0] == 6e-4


def test_bad_fields_are_errors():
    with pytest.raises(ConfigError, match='warmup must lie'):
        WarmupPolyLR(make(), end=100, warmup=1500, by_epoch=False)
    with pytest.raises(ConfigError, match='by_epoch=False'):
        WarmupPolyLR(make(), end=100, warmup=5)
