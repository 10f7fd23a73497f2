"""Hooks that measure the step: what they measure, and that the step does not notice."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmseg.registry import DATASETS
from torch import nn

from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.engine.hooks import GradientShare, PseudoLabelAccuracy
from dsr_nss.engine.hooks.gradient_share import gradient_shares
from dsr_nss.engine.hooks.pseudo_label_accuracy import accuracies, read_views
from dsr_nss.engine.optim_wrapper import AdaptiveAmpOptimWrapper
from dsr_nss.errors import ConfigError, DataError
from tests.datasets.tiny_sets import (
    make_cityscapes,
    make_dark_zurich,
    random_label,
    write_label,
)
from tests.models.segmentors.conftest import SIZE, build, dsr_config, make_items

STEPS = 3


@pytest.fixture
def data(tmp_path, rng):
    """Pairs with their truth, in the layout of nightscape; the crops are whole enlarged images."""
    make_cityscapes(tmp_path / 'cs')
    make_dark_zurich(tmp_path / 'dz', count=5)
    for i in range(5):
        name = f'train/night/GOPR1/GOPR1_frame_{i:06d}_gt_labelTrainIds.png'
        write_label(tmp_path / 'truth' / name, random_label(rng))
    return DATASETS.build(
        dict(
            type='SourceTargetDataset',
            source=dict(type='Cityscapes', data_root=str(tmp_path / 'cs'), split='train'),
            target=dict(type='DarkZurich', data_root=str(tmp_path / 'dz'), split='train'),
            target_scale=SIZE,
            crop_size=SIZE,
        )
    )


def stand_in(model, request, data=None, wrapper=None):
    return SimpleNamespace(
        iter=0, model=model, message_hub=MessageHub.get_instance(request.node.name),
        train_dataloader=SimpleNamespace(dataset=data, batch_size=2), optim_wrapper=wrapper,
    )  # fmt: skip


def run(model, request, hook=None, data=None):
    """Some steps; the numbers of each, all tensors and the state of the generator afterwards."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    wrapper = OptimWrapper(torch.optim.SGD(parameters, lr=1e-3))
    runner, logs = stand_in(model, request, data, wrapper), []
    if hook is not None:
        hook.before_train(runner)
    torch.manual_seed(5)
    for step in range(STEPS):
        runner.iter = step
        items = make_items(step)
        if hook is not None:
            hook.before_train_iter(runner, step, items)
        log = model.train_step(items, wrapper)
        if hook is not None:
            hook.after_train_iter(runner, step, items, log)
        logs.append({name: value.detach() for name, value in log.items()})
    return logs, model.state_dict(), torch.get_rng_state()


def assert_equal(first, second):
    for mine, theirs in zip(first[0], second[0], strict=True):
        for name in mine.keys() & theirs.keys():
            assert torch.equal(mine[name], theirs[name]), name
    assert first[1].keys() == second[1].keys()
    for name, value in first[1].items():
        assert torch.equal(value, second[1][name]), name
    assert torch.equal(first[2], second[2])


# --- GradientShare -------------------------------------------------------------------------------


def test_shares_by_hand():
    w, other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    losses = dict(
        loss_source=(torch.tensor([3.0, 4.0]) * w).sum(),
        loss_mixed=10 * w[0],
        loss_proto=0.5 * w[1] + other.sum(),
        loss_of_the_head=other.sum(),
        loss_constant=torch.tensor(2.0),
        pseudo_weight=torch.tensor(0.5),
    )
    shares = gradient_shares(losses, [w])
    assert {name: float(value) for name, value in shares.items()} == {
        'gradient_source': 5.0,
        'gradient_share_mixed': 2.0,
        'gradient_share_proto': pytest.approx(0.1),
        'gradient_share_of_the_head': 0.0,
        'gradient_share_constant': 0.0,
    }
    nothing = gradient_shares(dict(loss_source=0 * w.sum(), loss_mixed=w.sum()), [w])
    assert all(value.isfinite() for value in nothing.values())


def test_the_step_does_not_notice_that_its_gradients_are_measured(request):
    watched = run(build(dsr_config()), request, GradientShare(interval=2))
    assert_equal(watched, run(build(dsr_config()), request))
    names = {'gradient_source'} | {
        f'gradient_share_{name}' for name in ('mixed', 'proto', 'feature_distance')
    }
    assert [names & log.keys() for log in watched[0]] == [set(), names, set()]
    measured = watched[0][1]
    assert measured['gradient_source'] > 0 and measured['gradient_share_mixed'] > 0


def test_shares_of_a_compiled_network(request):
    """A pass that was compiled for one backward could give its buffers away."""
    model = build(dsr_config())
    model.compile_networks(backend='aot_eager')
    logs, *_ = run(model, request, GradientShare(interval=2))
    assert logs[1]['gradient_share_mixed'] > 0


def test_shares_of_any_name_are_not_part_of_the_loss():
    model = build(dsr_config())
    model.watch_losses = lambda losses: {'gradient_share_focal_loss': torch.tensor(12.0)}
    total, numbers = model.parse_losses({'loss_focal_loss': torch.tensor(2.0)})
    assert total == numbers['loss'] == 2 and numbers['gradient_share_focal_loss'] == 12


def test_the_source_gradient_is_that_of_the_encoder(request):
    config = dsr_config(alpha=0.0, alignment=None, feature_distance=None)
    model = build(config)
    (log, *_), _, _ = run(model, request, GradientShare(interval=1))
    twin = build(config)
    torch.manual_seed(5)
    twin(twin.data_preprocessor(make_items(0), training=True), mode='loss')[
        'loss_source'
    ].backward()
    squares = [p.grad.square().sum() for p in twin.student.backbone.parameters()]
    torch.testing.assert_close(log['gradient_source'], torch.stack(squares).sum().sqrt())
    assert log['gradient_share_mixed'] == 0


def test_without_an_encoder_the_hook_is_refused(request):
    for hook in (GradientShare(), PseudoLabelAccuracy(labels='truth')):
        with pytest.raises(ConfigError, match=f'{type(hook).__name__} needs .*Linear'):
            hook.before_train(stand_in(nn.Linear(1, 1), request))


# --- PseudoLabelAccuracy -------------------------------------------------------------------------


def test_accuracies_by_hand():
    """Right: one of two cars, the road; the pole is wrong, the ignored pixel does not count."""
    truth = torch.tensor([[[13, 13, 0], [5, 255, 255]]], dtype=torch.uint8)
    right = torch.tensor([[[True, False, True], [False, True, False]]])
    found = accuracies(right, truth, dict(dynamic=[11, 13], small=[5], large_static=[0], none=[9]))
    assert found == {
        'pseudo_accuracy': 50.0,
        'pseudo_accuracy_dynamic': 50.0,
        'pseudo_accuracy_small': 0.0,
        'pseudo_accuracy_large_static': 100.0,
    }


@pytest.mark.parametrize('teacher_bn', ['batch', 'target'])
def test_the_run_does_not_notice_that_its_labels_are_measured(tmp_path, request, data, teacher_bn):
    def model():
        teacher = dict(type='EMATeacher', momentum=0.9, teacher_bn=teacher_bn)
        return build(dsr_config(teacher=teacher, alignment=None, feature_distance=None))

    hook = PseudoLabelAccuracy(labels=str(tmp_path / 'truth'), interval=2, images=3)
    watched = run(model(), request, hook, data)
    assert_equal(watched, run(model(), request))
    scalars = MessageHub.get_instance(request.node.name).log_scalars
    for name in ('', '_large_static', '_dynamic'):
        history = scalars[f'train/pseudo_accuracy{name}'].data[0]
        assert len(history) == 1 and 0 <= history[0] <= 100
    assert 'train/pseudo_accuracy_small' not in scalars  # the truth has no small class


def test_a_teacher_that_knows_the_truth_is_right_everywhere(tmp_path, request, data):
    hook = PseudoLabelAccuracy(labels=str(tmp_path / 'truth'), interval=1, images=5)
    model = build(dsr_config())
    wrapper = AdaptiveAmpOptimWrapper(
        dtype='bfloat16', optimizer=torch.optim.SGD(model.parameters(), lr=1e-3)
    )
    runner = stand_in(model, request, data, wrapper)
    hook.before_train(runner)
    assert hook._groups == {
        name: [CLASSES.index(member) for member in GROUPS[name]]
        for name in ('large_static', 'dynamic', 'small')
    }
    seen = []

    def truth_of(batch):
        seen.append(batch)
        assert torch.get_autocast_dtype('cpu') == torch.bfloat16
        assert torch.is_autocast_enabled('cpu')  # labels in the precision of the training
        truth = hook._batches[len(seen) - 1][1]
        return torch.where(truth == 255, 0, truth).long(), torch.ones(()), {}

    model.pseudo_label = truth_of
    hook.after_train_iter(runner, 0)
    assert runner.message_hub.get_scalar('train/pseudo_accuracy').current() == 100
    assert [len(batch.night_image) for batch in seen] == [2, 2, 1]
    # nothing of the truth is in what the networks get
    assert all((batch.source_label == 255).all() for batch in seen)
    assert all(batch.has_reference.all() for batch in seen)


def test_views_are_the_training_images_and_their_truth(tmp_path, data):
    (first, truth), (second, _) = read_views(data, tmp_path / 'truth', images=3, batch_size=2)
    assert truth.shape == (2, *SIZE) and second['night_image'].shape == (1, 3, *SIZE)
    for i, night in ((0, first['night_image'][0]), (4, second['night_image'][0])):
        file = data.target.get_data_info(i)['img_path']
        expected = cv2.resize(cv2.imread(file), SIZE[::-1], interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(night.permute(1, 2, 0).numpy(), expected[..., ::-1])


def test_truth_that_is_missing_or_of_another_size(tmp_path, data, rng):
    with pytest.raises(FileNotFoundError, match=r'GOPR1_frame_000000_gt.*`labels` must'):
        read_views(data, tmp_path, 2, 2)
    name = 'train/night/GOPR1/GOPR1_frame_000000_gt_labelTrainIds.png'
    write_label(tmp_path / 'truth' / name, random_label(rng, (12, 16)))
    with pytest.raises(DataError, match='another size'):
        read_views(data, tmp_path / 'truth', 2, 2)
