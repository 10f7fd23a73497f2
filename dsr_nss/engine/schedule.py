"""The learning rate of the base methods: linear warm-up, then polynomial decay.

mmengine's pair gives the same factors as `LinearLR(end=warmup + 1)` and `PolyLR(begin=warmup,
end=max_iters + 1)`: two more numbers that must follow the length of the run, and with the end that
mmengine fills in the last iteration trains with a rate of zero. Here the end is the run's, whatever
changed it, and a resumed run keeps the shape that its config states and says what differs.
"""

from typing import Annotated

from mmengine.optim import _ParamScheduler
from mmseg.registry import PARAM_SCHEDULERS

from dsr_nss.errors import ConfigError
from dsr_nss.values import Bounds, Positive, Share, checked


def learning_rate_factor(
    t: int, total: int, warmup: int, warmup_ratio: float, power: float
) -> float:
    """Share of the base rate in iteration `t` = 0 ... `total` - 1.

    Linear from `warmup_ratio` to 1 over `warmup` iterations, then
    `(1 - (t - warmup) / (total - warmup)) ** power`.
    """
    if t < warmup:
        return warmup_ratio + (1.0 - warmup_ratio) * t / warmup
    return (1.0 - (t - warmup) / (total - warmup)) ** power


@PARAM_SCHEDULERS.register_module()
@checked
class WarmupPolyLR(_ParamScheduler):
    """`param_scheduler = dict(type='WarmupPolyLR', warmup=1500, by_epoch=False)`.

    Args:
        optimizer: The optimiser wrapper; given by the runner.
        warmup: Iterations of the linear warm-up.
        warmup_ratio: Share of the base rate in iteration 0.
        power: Exponent of the decay.
        end: Length of the run in iterations; the runner fills in `train_cfg.max_iters`.
        by_epoch: Must be given as False, as in all configs for iteration-based runs: mmengine
            chooses the default of `end` by it.

    Raises:
        ConfigError: `by_epoch` is not False, or the warm-up does not end before the run.
    """

    def __init__(
        self,
        optimizer,
        *,
        end: int,
        warmup: Annotated[int, Bounds(0)] = 1500,
        warmup_ratio: Share = 1e-6,
        power: Positive = 0.9,
        by_epoch: bool = True,
    ) -> None:
        if by_epoch:
            raise ConfigError('WarmupPolyLR counts iterations: give it by_epoch=False')
        if not 0 <= warmup < end:
            raise ConfigError(
                f'param_scheduler.warmup must lie in [0, {end}), the length of the run, '
                f'got {warmup}'
            )
        self.warmup = warmup
        self.warmup_ratio = warmup_ratio
        self.power = power
        super().__init__(optimizer, param_name='lr', end=end, by_epoch=False)

    def _get_value(self) -> list[float]:
        factor = learning_rate_factor(
            self.last_step, self.end, self.warmup, self.warmup_ratio, self.power
        )
        return [base * factor for base in self.base_values]

    def load_state_dict(self, state_dict: dict) -> None:
        """Continue at the saved iteration; rates and shape of the schedule are the config's."""
        step = state_dict['_global_step']
        # mmengine's `last_step` stays one behind at the end of a run, which may go on longer now
        super().load_state_dict(dict(last_step=min(step, self.end), _global_step=step))

    def apply(self) -> None:
        """Gives the optimiser the rates of this iteration, as `step` does of the next one."""
        rates = self._get_value()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group['lr'] = rate
        self._last_value = rates
