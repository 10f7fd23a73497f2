"""Passes show every element once; their order depends on seed, stream and pass alone."""

from dsr_nss.datasets.shuffled_passes import ShuffledPasses


def test_every_pass_shows_every_element_in_an_order_of_its_own():
    passes = ShuffledPasses(20, seed=3, stream=1)
    first, second = [passes[i] for i in range(20)], [passes[i] for i in range(20, 40)]
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second


def test_elements_can_be_asked_for_in_any_order():
    straight = ShuffledPasses(5, seed=3, stream=1)
    backwards = ShuffledPasses(5, seed=3, stream=1)
    wanted = [straight[i] for i in range(15)]
    assert [backwards[i] for i in reversed(range(15))] == wanted[::-1]


def test_seed_and_stream_change_the_order():
    orders = {
        tuple(ShuffledPasses(20, seed=seed, stream=stream)[i] for i in range(20))
        for seed in (0, 1)
        for stream in (1, 2)
    }
    assert len(orders) == 4
