"""The written-down learning rate, by hand: what the engine's schedule is held against."""

import pytest

from tests.reference.schedule import learning_rate_factor


def test_warm_up_by_hand():
    # t = 0: the ratio. t = 750: half way, (1e-6 + 1) / 2. t = 1500: 1, and the decay starts.
    assert learning_rate_factor(0, 40_000) == 1e-6
    assert learning_rate_factor(750, 40_000) == pytest.approx((1 + 1e-6) / 2, rel=1e-12)
    assert learning_rate_factor(1499, 40_000) < 1
    assert learning_rate_factor(1500, 40_000) == 1.0


def test_decay_by_hand():
    # Half of the 38,500 decaying steps: t = 1500 + 19250, 0.5^0.9. Three quarters: 0.25^0.9.
    assert learning_rate_factor(20_750, 40_000) == pytest.approx(0.5**0.9, rel=1e-12)
    assert learning_rate_factor(30_375, 40_000) == pytest.approx(0.25**0.9, rel=1e-12)
    # The last iteration still learns: (1 / 38,500)^0.9.
    assert learning_rate_factor(39_999, 40_000) == pytest.approx((1 / 38_500) ** 0.9, rel=1e-6)


def test_short_run_by_hand():
    # 100 iterations, 10 of warm-up: t = 5 is half way; t = 55 has half of the decay behind it.
    assert learning_rate_factor(5, 100, warmup=10) == pytest.approx((1 + 1e-6) / 2, rel=1e-12)
    assert learning_rate_factor(55, 100, warmup=10) == pytest.approx(0.5**0.9, rel=1e-12)


def test_the_rate_only_falls_after_warm_up():
    factors = [learning_rate_factor(t, 2000, warmup=100) for t in range(2000)]
    assert factors[:101] == sorted(factors[:101])
    assert factors[100:] == sorted(factors[100:], reverse=True)
    assert min(factors) > 0
