"""The EMA teacher as a module."""

import copy

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from torch import nn

from dsr_nss.errors import ConfigError
from dsr_nss.models.teacher import STATISTICS, EMATeacher


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.9)

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)))

    def encode_decode(self, image):
        return self(image)


def step_student(student: nn.Module) -> None:
    with torch.no_grad():
        for p in student.parameters():
            p.add_(torch.randn_like(p))
    student.train()(torch.randn(2, 3, 5, 5))  # moves the running statistics


@pytest.mark.parametrize('teacher_bn', ['batch', 'batch_apart', 'running'])
def test_weights_and_float_buffers_follow_the_hand_written_average(teacher_bn):
    torch.manual_seed(0)
    student = Net()
    teacher = EMATeacher(student=student, momentum=0.6, teacher_bn=teacher_bn)
    average = {k: v.double().numpy().copy() for k, v in student.state_dict().items()}
    for t in range(1, 6):
        step_student(student)
        teacher.follow(student)
        momentum = min(1 - 1 / (t + 1), 0.6)
        for k, v in student.state_dict().items():
            if v.is_floating_point():
                average[k] = momentum * average[k] + (1 - momentum) * v.double().numpy()
            else:
                average[k] = v.numpy().copy()
    for k, v in teacher.model.state_dict().items():
        torch.testing.assert_close(
            v.double(), torch.as_tensor(average[k]).double(), rtol=1e-5, atol=1e-6
        )
    assert teacher.steps == 5 and int(teacher.step) == 5


def test_update_keeps_storage_and_takes_no_gradient():
    student = Net()
    teacher = EMATeacher(student=student)
    pointers = [p.data_ptr() for p in teacher.model.parameters()]
    step_student(student)
    teacher.follow(student)
    assert [p.data_ptr() for p in teacher.model.parameters()] == pointers
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(torch.randn(1, 3, 4, 4, requires_grad=True)).requires_grad


@pytest.mark.parametrize('teacher_bn', STATISTICS)
def test_stays_in_eval_mode_but_for_norms_on_batch_statistics(teacher_bn):
    teacher = EMATeacher(student=Net(), teacher_bn=teacher_bn)
    nn.Sequential(teacher).train()
    training = [type(m) for m in teacher.modules() if m.training]
    assert training == ([nn.BatchNorm2d] if teacher_bn.startswith('batch') else [])
    nn.Sequential(teacher).eval()
    assert not any(m.training for m in teacher.modules())


@pytest.mark.parametrize('teacher_bn', STATISTICS)
def test_norms_that_the_network_keeps_frozen_are_frozen_here(teacher_bn):
    class Frozen(Net):
        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()
            return self

    torch.manual_seed(0)
    student = Frozen().train()
    teacher = EMATeacher(student=student, teacher_bn=teacher_bn).train()
    student.drop.eval()
    for image in (torch.randn(2, 3, 8, 8) + 3, torch.randn(2, 3, 8, 8) - 3):
        torch.testing.assert_close(teacher(image), student(image))


def test_what_is_trained_later_cannot_be_shared():
    student = Net()
    student.conv.requires_grad_(False)
    teacher = EMATeacher(student=student)
    teacher.follow(student)
    student.conv.requires_grad_(True)
    with pytest.raises(ConfigError, match=r'model\.conv\.\w+ was frozen when the teacher was made'):
        teacher.follow(student)


def test_batch_statistics_are_used_without_touching_running_ones():
    torch.manual_seed(0)
    student = Net()
    teacher = EMATeacher(student=student, teacher_bn='batch')
    teacher.train()
    image = torch.randn(2, 3, 8, 8) * 5 + 3
    before = copy.deepcopy(teacher.state_dict())
    output = teacher(image)
    assert output.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    after = teacher.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    teacher(torch.full_like(image, torch.inf))  # as half precision may give: it is not kept
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    teacher.eval()
    assert teacher(image).mean(dim=(0, 2, 3)).abs().max() > 1e-2


def test_state_dict_restores_the_step_counter():
    student = Net()
    teacher = EMATeacher(student=student)
    for _ in range(3):
        step_student(student)
        teacher.follow(student)
    twin = EMATeacher(student=Net())
    twin.load_state_dict(teacher.state_dict())
    assert twin.steps == 3
    step_student(student)
    teacher.follow(student)
    twin.follow(student)
    for a, b in zip(teacher.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize('teacher_bn', STATISTICS[1:])
def test_statistics_of_norms_that_are_not_there_are_refused(teacher_bn):
    student = nn.Conv2d(3, 2, 1)
    assert EMATeacher(student=student).teacher_bn == 'batch'
    with pytest.raises(ConfigError, match='no batch norms'):
        EMATeacher(student=student, teacher_bn=teacher_bn)


@pytest.mark.parametrize('field', [dict(momentum=1.5), dict(teacher_bn='eval')])
def test_bad_fields_are_named(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        EMATeacher(student=Net(), **field)


@pytest.mark.parametrize('teacher_bn', ['running', 'batch_apart'])
def test_a_pair_gives_what_each_image_gives(teacher_bn):
    torch.manual_seed(0)
    teacher = EMATeacher(student=Net(), teacher_bn=teacher_bn)
    teacher.train()
    night, day = torch.randn(2, 3, 8, 8), 5 * torch.randn(2, 3, 8, 8) + 3
    passes = []
    teacher.model.register_forward_hook(lambda *args: passes.append(len(args[1][0])))
    logits_night, logits_day = teacher.pair(night, day)
    assert passes == ([4] if teacher_bn == 'running' else [2, 2])
    torch.testing.assert_close(logits_night, teacher(night))
    torch.testing.assert_close(logits_day, teacher(day))


def test_joint_batch_statistics_are_those_of_night_and_day_together():
    torch.manual_seed(0)
    teacher = EMATeacher(student=Net())  # the default, as published
    teacher.train()
    night, day = torch.randn(2, 3, 8, 8), 5 * torch.randn(2, 3, 8, 8) + 3
    logits = teacher.pair(night, day)
    both = torch.cat([teacher.model.conv(night), teacher.model.conv(day)]).double()
    mean = both.mean(dim=(0, 2, 3), keepdim=True)
    var = both.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
    expected = ((both - mean) / (var + 1e-5).sqrt()).split(2)
    for own, wanted in zip(logits, expected, strict=True):
        torch.testing.assert_close(own.double(), wanted, rtol=0, atol=1e-5)


def test_target_statistics_are_the_running_mean_of_the_teachers_own_passes():
    """Hand-written: a plain mean of ten passes, then a weight of 0.1; the student has no part."""
    torch.manual_seed(0)
    student = Net()
    teacher = EMATeacher(student=student, teacher_bn='target', momentum=0.5)
    teacher.copy_from(student)
    mean, var = torch.zeros(4).double(), torch.zeros(4).double()
    for n in range(1, 13):
        image = torch.randn(2, 3, 8, 8) * n + n
        output = teacher(image)
        x = teacher.model.conv(image).double()
        weight = max(1 / n, 0.1)
        mean += weight * (x.mean(dim=(0, 2, 3)) - mean)
        var += weight * (x.var(dim=(0, 2, 3)) - var)
        expected = (x - mean.view(1, 4, 1, 1)) / (var.view(1, 4, 1, 1) + 1e-5).sqrt()
        scale, shift = (p.double().view(1, 4, 1, 1) for p in teacher.model.norm.parameters())
        expected = expected * scale + shift
        torch.testing.assert_close(output.double(), expected, rtol=0, atol=1e-4)
        step_student(student)
        teacher.follow(student)
    torch.testing.assert_close(teacher.model.norm.running_mean.double(), mean, rtol=1e-5, atol=0)
    before = copy.deepcopy(teacher.state_dict())
    teacher.eval()
    teacher(image)
    assert all(
        torch.equal(a, b)
        for a, b in zip(before.values(), teacher.state_dict().values(), strict=True)
    )


def test_own_statistics_survive_the_conversion_to_and_from_synchronised_norms():
    """As the runner does for `sync_bn`, and for a SyncBN of the config in a single process."""
    torch.manual_seed(0)
    model = nn.Module()
    model.teacher = EMATeacher(student=Net(), teacher_bn='target')
    nn.SyncBatchNorm.convert_sync_batchnorm(model)
    revert_sync_batchnorm(model)
    model.train()
    image = 5 + torch.randn(2, 3, 6, 6)
    model.teacher(image)
    norm = model.teacher.model.norm
    mean = model.teacher.model.conv(image).mean(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean, mean)
    assert int(norm.num_batches_tracked) == 1
