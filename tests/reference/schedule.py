"""Learning rate of iteration t = 0, 1, ..., max_iters - 1, as a share of the base rate."""


def learning_rate_factor(
    t: int,
    max_iters: int,
    warmup: int = 1500,
    warmup_ratio: float = 1e-6,
    power: float = 0.9,
) -> float:
    """Linear from ``warmup_ratio`` to 1 over ``warmup`` iterations, then polynomial decay."""
    if t < warmup:
        return warmup_ratio + (1.0 - warmup_ratio) * t / warmup
    return (1.0 - (t - warmup) / (max_iters - warmup)) ** power
