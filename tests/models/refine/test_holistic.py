"""The refinement module: who keeps the night prediction."""

import torch

from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.models.refine import HolisticRefinement


def make(aligner: dict, **fields) -> HolisticRefinement:
    return HolisticRefinement(
        aligner=aligner, class_names=CLASSES, static_classes=GROUPS['large_static'], **fields
    )


def run(module: HolisticRefinement, has_reference: list[bool]):
    torch.manual_seed(0)
    logits, day_logits = torch.randn(2, 2, 19, 12, 16)
    pixels = torch.full((2, 3, 12, 16), 0.5)
    refined, unaligned = module(logits, day_logits, pixels, pixels, torch.tensor(has_reference))
    return logits.softmax(dim=1), refined, unaligned


def test_sample_without_reference_keeps_the_night_prediction():
    night, refined, unaligned = run(make(dict(type='Identity')), [True, False])
    assert torch.equal(refined[1], night[1])
    assert (refined[0] - night[0]).abs().max() > 0.05
    assert unaligned == 0


def test_sample_that_cannot_be_aligned_keeps_it_too_and_is_counted():
    night, refined, unaligned = run(make(dict(type='Homography')), [True, False])
    assert torch.equal(refined, night)
    assert unaligned == 1.0


def test_a_day_that_cannot_be_aligned_may_speak_by_static_agreement():
    module = make(dict(type='Homography'), unaligned='static')
    night, refined, unaligned = run(module, [True, False])
    _, expected, _ = run(make(dict(type='Identity', confidence=0.0)), [True, False])
    assert torch.equal(refined, expected) and not torch.equal(refined[0], night[0])
    assert unaligned == 1.0


def test_what_is_aligned_stays_as_it_is():
    plain, static = (make(dict(type='Identity'), unaligned=u) for u in ('night', 'static'))
    assert torch.equal(run(plain, [True, False])[1], run(static, [True, False])[1])


def test_no_reference_at_all_is_not_a_division_by_zero():
    night, refined, unaligned = run(make(dict(type='Identity')), [False, False])
    assert torch.equal(refined, night) and unaligned == 0
