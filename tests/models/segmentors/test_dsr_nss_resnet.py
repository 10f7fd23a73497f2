"""The training step on ResNet students: batch norms, output strides, no HRDA."""

import copy

import pytest
import torch
from torch import nn

from dsr_nss.errors import ConfigError
from tests.models.segmentors.conftest import build, dsr_config, make_items
from tests.models.segmentors.networks import deeplabv2_config, refinenet_config
from tests.models.segmentors.test_dsr_nss import gradients, losses_of, optimiser, touched

STUDENTS = {
    'deeplabv2': deeplabv2_config(width=8),
    'refinenet': refinenet_config(width=8),
}
NAMES = pytest.mark.parametrize('name', STUDENTS)


def config(name, **overrides):
    return dsr_config(student=STUDENTS[name], **overrides)


def norms(module: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {n: m for n, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)}


@NAMES
def test_a_step_reports_finite_losses_and_moves_student_and_teacher(name, items):
    model = build(config(name))
    items['source_label'][0] = 13
    model.train_step(items, optimiser(model))  # the first one copies the start weights
    before = copy.deepcopy(model.state_dict())
    log = model.train_step(items, optimiser(model))
    assert {'loss_source', 'loss_mixed', 'loss_proto', 'loss_feature_distance'} <= set(log)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in log.values())
    assert float(log['loss_feature_distance'].detach()) > 0
    after = model.state_dict()
    moved = {
        key.split('.')[0]
        for key, old in before.items()
        if old.is_floating_point() and not torch.equal(old, after[key])
    }
    assert moved == {'student', 'teacher'}  # and not the frozen encoder


@NAMES
def test_gradients_reach_encoder_and_head_but_neither_teacher_nor_frozen_encoder(name, items):
    model = build(config(name))
    items['source_label'][0] = 13
    model.train_step(items, optimiser(model))
    losses = losses_of(model, items)
    reached = {k: touched(gradients(model, v)) for k, v in losses.items() if k.startswith('loss_')}
    for key in ('loss_source', 'loss_mixed'):
        assert any(n.startswith('student.decode_head.') for n in reached[key])
        assert 'student.backbone.layer1.0.conv1.weight' in reached[key]
    # the config's prototypes are of the second stage
    assert any('.layer2.' in n for n in reached['loss_proto'])
    assert not any('.layer3.' in n or '.decode_head.' in n for n in reached['loss_proto'])
    assert any('.layer4.' in n for n in reached['loss_feature_distance'])
    assert all(n.startswith('student.') for names in reached.values() for n in names)


@NAMES
@pytest.mark.parametrize('night_gradient', [True, False])
def test_the_night_pass_leaves_statistics_alone(name, night_gradient):
    """Each batch norm counts two batches a step, source and mixed; the third pass is not one."""
    model = build(
        config(name, alignment=dict(dsr_config()['alignment'], night_gradient=night_gradient))
    )
    passes = []
    model.student.backbone.register_forward_pre_hook(lambda *_: passes.append(1))
    losses_of(model, make_items())
    assert len(passes) == 3
    assert all(norm.num_batches_tracked == 2 for norm in norms(model.student).values())
    assert all(norm.track_running_stats for norm in norms(model.student).values())
    without = build(config(name, alignment=None))
    losses_of(without, make_items())
    for (key, a), (_, b) in zip(
        model.student.named_buffers(), without.student.named_buffers(), strict=True
    ):
        assert torch.equal(a, b), key


@pytest.mark.parametrize('kind', ['ResNetEncoder', 'ResNet'])
def test_recomputed_passes_need_frozen_norms(kind):
    """Or the running statistics would take in what is computed again, outside of every guard."""
    student = copy.deepcopy(STUDENTS['deeplabv2'])
    student['backbone'].update(type=kind, with_cp=True)
    with pytest.raises(ConfigError, match=f'{kind}: with_cp .* norm_eval=True'):
        build(dsr_config(student=student))
    student['backbone'].update(norm_eval=True)
    build(dsr_config(student=student))


def test_the_feature_distance_does_not_compare_a_neck_with_an_encoder():
    student = copy.deepcopy(STUDENTS['deeplabv2'])
    width = student['decode_head']['in_channels']
    student['neck'] = dict(
        type='FPN', in_channels=[width // 8, width // 4, width // 2, width], out_channels=width,
        num_outs=4,
    )  # fmt: skip
    with pytest.raises(ConfigError, match='feature_distance .* a neck'):
        build(dsr_config(student=student))
    build(dsr_config(student=student, feature_distance=None))


@NAMES
def test_the_night_pass_may_update_statistics(name):
    alignment = dict(dsr_config()['alignment'], night_statistics='updated')
    model = build(config(name, alignment=alignment))
    losses_of(model, make_items())
    assert all(norm.num_batches_tracked == 3 for norm in norms(model.student.backbone).values())
    assert all(norm.num_batches_tracked == 2 for norm in norms(model.student.decode_head).values())


@NAMES
def test_teacher_batch_norms(name):
    """'running' uses the averaged statistics, 'batch' those of the batch; neither is updated."""
    for mode in ('running', 'batch'):
        model = build(config(name, teacher=dict(type='EMATeacher', teacher_bn=mode)))
        model.train_step(make_items(), optimiser(model))
        teacher = norms(model.teacher.model)
        assert all(norm.training == (mode == 'batch') for norm in teacher.values())
        assert not any(
            m.training for m in model.teacher.model.modules() if isinstance(m, nn.Dropout)
        )
        before = {n: norm.running_mean.clone() for n, norm in teacher.items()}
        image = torch.randn(2, 3, 64, 64) + 1
        logits = model.teacher(image)
        assert all(torch.equal(norm.running_mean, before[n]) for n, norm in teacher.items())
        alone = model.teacher(image[:1])
        assert torch.allclose(logits[:1], alone, atol=1e-4) == (mode == 'running')


@NAMES
def test_the_teacher_averages_statistics(name):
    model = build(config(name, teacher=dict(type='EMATeacher', momentum=0.9)))
    start = {n: m.running_var.clone() for n, m in norms(model.student).items()}
    model.train_step(make_items(), optimiser(model))
    for n, norm in norms(model.teacher.model).items():
        student = norms(model.student)[n].running_var
        # lambda of the first step is 1 - 1/2
        torch.testing.assert_close(norm.running_var, (start[n] + student) / 2)


def test_the_frozen_encoder_keeps_its_statistics(items):
    model = build(config('deeplabv2'))
    items['source_label'][0] = 13
    model.train_step(items, optimiser(model))
    before = copy.deepcopy(model.feature_distance.state_dict())
    model.train_step(items, optimiser(model))
    assert not any(norm.training for norm in norms(model.feature_distance).values())
    after = model.feature_distance.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@NAMES
def test_all_encoder_levels_can_carry_prototypes(name, items):
    cells = {'deeplabv2': (16, 8, 8, 8), 'refinenet': (16, 8, 4, 2)}[name]
    for level in (0, 3, -1):
        alignment = dict(dsr_config()['alignment'], feature_level=level)
        model = build(config(name, alignment=alignment))
        loss = losses_of(model, items)['loss_proto']
        assert torch.isfinite(loss) and loss > 0
        features = model.student.context_features(torch.randn(1, 3, 64, 64))
        assert features[level].shape[-1] == cells[level]
