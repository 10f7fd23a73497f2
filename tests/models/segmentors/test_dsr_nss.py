"""The training step: every part does its own work and nothing else."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper

from dsr_nss.functional.ema import ema_momentum
from tests.models.segmentors.conftest import build, dsr_config, make_items
from tests.models.segmentors.networks import deeplabv2_config


def optimiser(model, lr: float = 1e-3) -> OptimWrapper:
    parameters = [p for p in model.parameters() if p.requires_grad]
    return OptimWrapper(torch.optim.SGD(parameters, lr=lr))


def losses_of(model, items, seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return model(model.data_preprocessor(items, training=True), mode='loss')


def gradients(model, loss) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward(retain_graph=True)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def touched(grads: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, grad in grads.items() if grad.abs().sum() > 0}


def test_a_step_reports_every_loss_and_moves_student_then_teacher(items):
    model = build(dsr_config())
    wrapper = optimiser(model)
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(1)
    log = model.train_step(items, wrapper)
    assert {'loss', 'loss_source', 'loss_mixed', 'loss_proto', 'loss_feature_distance'} <= set(log)
    assert {'pseudo_weight', 'fpa_share', 'unaligned_share'} <= set(log)
    assert all(torch.isfinite(torch.as_tensor(v)) for v in log.values())
    total = sum(v for k, v in log.items() if k.startswith('loss_'))
    assert float(log['loss'].detach()) == pytest.approx(float(total.detach()), rel=1e-6)

    after = model.state_dict()
    momentum = ema_momentum(1, 0.9)
    for key, old in before.items():
        if key.startswith('student.') and old.is_floating_point():
            # before the first step the teacher is a copy of the student
            expected = torch.lerp(old, after[key], 1 - momentum)
            torch.testing.assert_close(after['teacher.model.' + key[8:]], expected)


def test_state_dict_is_student_teacher_bank_and_frozen_encoder():
    keys = build(dsr_config()).state_dict()
    assert {key.split('.')[0] for key in keys} == {'student', 'teacher', 'bank', 'feature_distance'}
    assert {'bank.images', 'bank.labels', 'bank.masks', 'bank.pushed', 'teacher.step'} <= set(keys)


def test_same_seed_same_losses_to_the_last_bit():
    runs = []
    for _ in range(2):
        model = build(dsr_config())
        wrapper = optimiser(model)
        log = []
        for step in range(4):
            torch.manual_seed(step)
            log.append(
                {
                    k: float(v.detach())
                    for k, v in model.train_step(make_items(step), wrapper).items()
                }
            )
        runs.append((log, model.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert all(
        torch.equal(a, b) for a, b in zip(runs[0][1].values(), runs[1][1].values(), strict=True)
    )


def test_each_loss_reaches_what_it_should(items):
    items['source_label'][0] = 13  # a car fills every cell of the feature distance
    model = build(dsr_config())
    model.train_step(items, optimiser(model))  # away from the frozen encoder
    losses = losses_of(model, items)
    reached = {k: touched(gradients(model, v)) for k, v in losses.items() if k.startswith('loss_')}
    for parameters in reached.values():
        assert all(name.startswith('student.') for name in parameters)
    encoder = {n for n, _ in model.named_parameters() if n.startswith('student.backbone.')}
    head = {n for n, _ in model.named_parameters() if n.startswith('student.decode_head.')}
    assert encoder | head == reached['loss_source'] == reached['loss_mixed']
    # prototypes of level 1: the first two encoder stages and nothing behind them
    stages = ('patch_embed1', 'block1', 'norm1', 'patch_embed2', 'block2', 'norm2')
    expected = {n for n in encoder if n.split('.')[2] in stages}
    assert reached['loss_proto'] == expected
    assert reached['loss_feature_distance'] <= encoder
    assert any('block4' in n for n in reached['loss_feature_distance'])


@pytest.mark.parametrize(
    'switch, term',
    [
        (dict(alpha=0.0), 'loss_mixed'),
        (dict(beta=0.0), 'loss_proto'),
        (dict(feature_distance=None), 'loss_feature_distance'),
    ],
)
def test_a_term_switched_off_takes_away_exactly_its_gradient(items, switch, term):
    items['source_label'][0] = 13
    full, reduced = build(dsr_config()), build(dsr_config(**switch))
    full.train_step(items, optimiser(full))
    reduced.load_state_dict(full.state_dict(), strict=False)
    all_losses = losses_of(full, items)
    own = gradients(full, all_losses[term])
    total = gradients(full, sum(v for k, v in all_losses.items() if k.startswith('loss_')))
    rest_losses = losses_of(reduced, items)
    rest = gradients(reduced, sum(v for k, v in rest_losses.items() if k.startswith('loss_')))
    for name in total:
        difference = total[name] - own.get(name, torch.zeros_like(total[name]))
        torch.testing.assert_close(rest[name], difference, rtol=1e-3, atol=2e-5)


def test_gradient_through_the_night_features_is_a_choice(items):
    config = dsr_config()
    kept = build(config)
    cut = build(dsr_config(alignment=dict(config['alignment'], night_gradient=False)))
    cut.load_state_dict(kept.state_dict())
    a = losses_of(kept, items)['loss_proto']
    b = losses_of(cut, items)['loss_proto']
    assert float(a.detach()) == pytest.approx(float(b.detach()), rel=1e-6)
    grad_a, grad_b = gradients(kept, a), gradients(cut, b)
    assert any(not torch.allclose(grad_a[n], grad_b[n]) for n in grad_b)


def test_alignment_waits_for_its_start(items):
    config = dsr_config()
    model = build(dsr_config(alignment=dict(config['alignment'], start=3)))
    wrapper = optimiser(model)
    has = ['loss_proto' in model.train_step(items, wrapper) for _ in range(4)]
    assert has == [False, False, True, True]


def test_bank_is_pasted_on_its_interval_and_pushed_afterwards(items):
    model = build(dsr_config(augmentation=None))
    wrapper = optimiser(model)
    model.want_panel = True
    model.train_step(items, wrapper)
    assert int(model.bank.pushed) == 2
    stored = model.bank.composite()
    first = model.panel['mixed_image'].clone()
    model.train_step(make_items(5), wrapper)
    mixed = model.panel
    region = stored[2]
    pixels = model.to_pixels(mixed['mixed_image'])[:, :, region] * 255
    torch.testing.assert_close(
        pixels, stored[0][:, region].float().expand_as(pixels), atol=1e-2, rtol=0
    )
    assert (mixed['mixed_label'][:, region] == stored[1][region].long()).all()
    assert mixed['mask'][:, 0, region].all()
    assert first.shape == mixed['mixed_image'].shape


def test_target_may_become_the_day_reference():
    model = build(dsr_config(adapt_to_reference=1.0))
    items = make_items()
    batch = model._choose_target(model.data_preprocessor(items, training=True))
    original = model.data_preprocessor(items, training=True)
    assert torch.equal(batch.night_image[0], original.reference_image[0])
    assert torch.equal(batch.night_image[1], original.night_image[1])  # it has no reference
    assert 'unaligned_share' not in losses_of(model, items)


def test_whether_the_reference_is_the_target_is_drawn_once_a_step():
    """One draw for the whole batch, by the generator that every step seeds."""
    model = build(dsr_config(adapt_to_reference=0.5))
    items = make_items(batch=4)
    items['has_reference'][:] = True
    batch = model.data_preprocessor(items, training=True)

    def taken(seed: int) -> bool:
        torch.manual_seed(seed)
        night = model._choose_target(batch).night_image
        whole = torch.equal(night, batch.reference_image)
        assert whole or torch.equal(night, batch.night_image)
        return whole

    draws = [taken(seed) for seed in range(200)]
    assert 70 < sum(draws) < 130
    assert draws == [taken(seed) for seed in range(200)]
    model.adapt_to_reference = 0.0
    assert not any(taken(seed) for seed in range(200))


def step_that_moves(model, items) -> dict[str, torch.Tensor]:
    """One step; finite numbers and weights, and other weights of encoder and head than before."""
    before = {name: p.detach().clone() for name, p in model.student.named_parameters()}
    log = model.train_step(items, optimiser(model))
    assert all(torch.isfinite(torch.as_tensor(v)) for v in log.values())
    moved = set()
    for name, parameter in model.student.named_parameters():
        assert torch.isfinite(parameter).all(), name
        if not torch.equal(parameter, before[name]):
            moved.add(name.split('.')[0])
    assert moved == {'backbone', 'decode_head'}
    return log


def test_all_ignore_source_label_is_finite_and_the_night_still_trains(items):
    items['source_label'].fill_(255)
    # every pixel is confident: the night's label alone moves the weights
    log = step_that_moves(build(dsr_config(confidence_threshold=0.0)), items)
    for name in ('loss_source', 'loss_proto', 'loss_feature_distance'):
        assert log[name] == 0
    assert log['loss_mixed'] > 0


def test_one_image_batch_runs():
    step_that_moves(build(dsr_config()), make_items(batch=1))


def test_classmix_without_day_bank_and_alignment_runs_on_items_without_reference(items):
    config = dsr_config(refinement=None, bank=None, alignment=None, feature_distance=None)
    items['has_reference'] = torch.zeros(2, dtype=torch.bool)
    log = step_that_moves(build(config), items)
    assert set(log) == {'loss', 'loss_source', 'loss_mixed', 'pseudo_weight', 'target_weight'}


def test_the_weight_of_the_target_is_q_times_its_share(items):
    """Every pixel is confident (q = 1), then none is; the mask is what the panel shows."""
    for threshold, weight in ((0.0, 1.0), (1.0, 0.0)):
        model = build(dsr_config(confidence_threshold=threshold, bank=None))
        model.want_panel = True
        losses = losses_of(model, items)
        share = 1 - model.panel['mask'].float().mean()
        assert 0.1 < share < 0.9 and losses['pseudo_weight'] == weight
        assert losses['target_weight'] == weight * share


def test_adaptation_predicts_as_its_student():
    model = build(dsr_config()).eval()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(model.encode_decode(image, []), model.student.encode_decode(image, []))


def test_teacher_waits_while_gradients_are_accumulated(items):
    model = build(dsr_config())
    parameters = [p for p in model.parameters() if p.requires_grad]
    wrapper = OptimWrapper(torch.optim.SGD(parameters, lr=1e-3), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    steps = []
    for _ in range(4):
        model.train_step(items, wrapper)
        steps.append(model.teacher.steps)
    assert steps == [0, 1, 1, 2]


def test_the_frozen_encoder_is_the_start_also_while_gradients_are_accumulated(items):
    """The first passes move the running statistics of the student's norms before any step."""
    config = dsr_config(student=deeplabv2_config(width=8))
    model = build(config)
    start = {k: v.clone() for k, v in model.student.backbone.state_dict().items()}
    wrapper = OptimWrapper(
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3),
        accumulative_counts=3,
    )
    wrapper.initialize_count_status(model, 0, 6)
    for _ in range(2):
        model.train_step(items, wrapper)
    moved = model.student.backbone.state_dict()
    assert any(not torch.equal(start[k], moved[k]) for k in start)
    for name, value in model.feature_distance.encoder.state_dict().items():
        assert torch.equal(value, start[name]), name


def test_a_run_without_target_is_a_clear_error(items):
    for key in ('night_image', 'reference_image', 'has_reference', 'night_file', 'reference_file'):
        del items[key]
    with pytest.raises(ValueError, match='train_dataloader.dataset.target'):
        losses_of(build(dsr_config()), items)


def test_no_reference_in_the_batch_asks_the_teacher_once(items):
    model = build(dsr_config())
    items['has_reference'] = torch.zeros(2, dtype=torch.bool)
    calls = []
    model.teacher.register_forward_hook(lambda *_: calls.append(1))
    losses_of(model, items)
    assert len(calls) == 1


def test_bf16_autocast_on_the_cpu_stays_close(items):
    model = build(dsr_config())
    plain = losses_of(model, items)
    with torch.autocast('cpu', torch.bfloat16):
        half = losses_of(model, items)
    for name in ('loss_source', 'loss_mixed', 'loss_proto'):
        assert float(half[name].detach()) == pytest.approx(float(plain[name].detach()), rel=0.1), (
            name
        )
