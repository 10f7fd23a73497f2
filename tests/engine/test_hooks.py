"""The hooks, one by one, on a stand-in for the runner."""

import logging
import os
import random
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from torch import nn

from dsr_nss.engine.hooks import (
    FiniteLossGuard,
    GracefulStop,
    PanelHook,
    SafeCheckpointHook,
    SeedEachIteration,
    TrainingInfoHook,
    graceful_stop,
)
from dsr_nss.engine.hooks.graceful_stop import SAME_SIGNAL_SECONDS
from dsr_nss.engine.hooks.seed_each_iteration import iteration_seed
from dsr_nss.errors import ConfigError, NonFiniteLossError


@pytest.fixture
def runner(tmp_path, request):
    hub = MessageHub.get_instance(f'{request.node.name}_{tmp_path.name}')
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(palette=[[0, 0, 0]] * 19)))
    loader = type('Loader', (), {'__len__': lambda self: 1000, 'dataset': loader.dataset})()
    fake = SimpleNamespace(
        iter=0, max_iters=100, epoch=0, rank=0, seed=7, work_dir=str(tmp_path), hooks=[],
        model=nn.Linear(2, 2), message_hub=hub, train_dataloader=loader,
        logger=logging.getLogger('test_hooks'), saved=[],
        optim_wrapper=SimpleNamespace(should_update=lambda: True),
        visualizer=SimpleNamespace(close=lambda: None, _vis_backends={}),
    )  # fmt: skip

    def save(iteration):
        fake.saved.append(iteration)
        path = tmp_path / f'iter_{iteration}.pth'
        path.touch()
        return path

    fake.save_training_state = save
    return fake


# --- SeedEachIteration ---------------------------------------------------------------------------


def draw(runner, hook, iteration):
    runner.iter = iteration
    hook.before_train_iter(runner, batch_idx=iteration)
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()


def test_randomness_depends_on_seed_iteration_and_rank_alone(runner):
    hook = SeedEachIteration(seed=3)
    first = draw(runner, hook, 5)
    torch.rand(100)
    draw(runner, hook, 6)
    assert draw(runner, hook, 5) == first
    assert draw(runner, hook, 6) != first
    assert draw(runner, SeedEachIteration(seed=4), 5) != first
    runner.rank = 1
    assert draw(runner, hook, 5) != first


def test_seed_defaults_to_the_runners(runner):
    assert draw(runner, SeedEachIteration(), 5) == draw(runner, SeedEachIteration(seed=7), 5)


def test_iteration_seed_is_frozen():
    """Changing the hash would change every published run."""
    assert iteration_seed(0, 0, 0) == 7896617691693857887
    with pytest.raises(ValueError, match='-1'):
        SeedEachIteration(seed=-1)


# --- FiniteLossGuard -----------------------------------------------------------------------------

BATCH = dict(source_file=['frankfurt_1.png'], night_file=['GOPR0351_1.png'])


def losses(**terms):
    terms = {k: torch.tensor(v) for k, v in terms.items()}
    return dict(loss=sum(terms.values()), **terms)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_broken_term_is_named_with_iteration_and_files(runner, value):
    guard = FiniteLossGuard()
    runner.iter = 41
    outputs = losses(loss_source=1.0, loss_mixed=value)
    with pytest.raises(NonFiniteLossError) as error:
        guard.after_train_iter(runner, 41, BATCH, outputs)
    message = str(error.value)
    assert f'loss_mixed is {value}' in message
    assert 'iteration 42' in message
    assert 'frankfurt_1.png' in message and 'GOPR0351_1.png' in message
    assert 'loss is' not in message
    assert 'No checkpoint was written' in message


def test_files_of_image_pairs_are_named(runner):
    batch = dict(files=dict(target=['night.png'], reference=['day.png', '']))
    with pytest.raises(NonFiniteLossError, match=r'target: night\.png; reference: day\.png, '):
        FiniteLossGuard().after_train_iter(runner, 0, batch, losses(loss_a=float('nan')))


def test_last_good_checkpoint_is_named(runner, tmp_path):
    for name in ('iter_8.pth', 'iter_40.pth'):
        (tmp_path / name).touch()
    with pytest.raises(NonFiniteLossError, match='last good checkpoint is .*iter_40.pth'):
        FiniteLossGuard().after_train_iter(runner, 0, BATCH, losses(loss_a=float('nan')))


def test_finite_losses_pass(runner):
    guard = FiniteLossGuard()
    for runner.iter in range(5):
        guard.after_train_iter(runner, runner.iter, BATCH, losses(loss_a=1.0, loss_b=0.0))
    guard.before_checkpoint(runner)


def test_broken_weights_are_not_saved(runner):
    guard = FiniteLossGuard()
    runner.model.weight.data[0, 0] = float('nan')
    with pytest.raises(NonFiniteLossError, match='weight holds NaN'):
        guard.before_checkpoint(runner)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='looks are delayed on a GPU alone')
def test_gpu_values_are_looked_at_when_due_and_before_a_checkpoint(runner):
    runner.model.cuda()
    bad = {k: v.cuda() for k, v in losses(loss_a=float('nan')).items()}
    good = {k: v.cuda() for k, v in losses(loss_a=1.0).items()}
    guard = FiniteLossGuard(interval=4)
    runner.iter = 0
    guard.after_train_iter(runner, 0, BATCH, bad)
    runner.iter = 1
    guard.after_train_iter(runner, 1, BATCH, good)
    with pytest.raises(NonFiniteLossError, match='iteration 1 '):
        guard.before_checkpoint(runner)
    for runner.iter in range(3):
        guard.after_train_iter(runner, runner.iter, BATCH, bad)
    runner.iter = 3
    with pytest.raises(NonFiniteLossError, match='iteration 1 '):
        guard.after_train_iter(runner, 3, BATCH, good)


# --- TrainingInfoHook ----------------------------------------------------------------------------


def test_numbers_reach_the_log_when_a_line_is_due(runner):
    hook = TrainingInfoHook()
    runner.hooks = [LoggerHook(interval=2)]
    hook._interval = 2
    for runner.iter in range(3):
        hook.after_train_iter(runner, runner.iter, None, losses(loss_a=float(runner.iter)))
    assert runner.message_hub.get_scalar('train/loss_a').data[0].tolist() == [0.0, 1.0]
    hook.before_checkpoint(runner)
    assert runner.message_hub.get_scalar('train/loss_a').data[0].tolist() == [0.0, 1.0, 2.0]


def test_terms_may_come_and_go(runner):
    hook = TrainingInfoHook()
    hook._interval = 10
    hook.after_train_iter(runner, 0, None, losses(loss_a=1.0))
    hook.after_train_iter(runner, 1, None, losses(loss_a=2.0, loss_proto=3.0))
    hook.before_checkpoint(runner)
    assert runner.message_hub.get_scalar('train/loss_a').data[0].tolist() == [1.0, 2.0]
    assert runner.message_hub.get_scalar('train/loss_proto').data[0].tolist() == [3.0]


def accumulating(runner, counts):
    """An optimiser that steps after every `counts` iterations."""
    return SimpleNamespace(should_update=lambda: (runner.iter + 1) % counts == 0)


# --- SafeCheckpointHook --------------------------------------------------------------------------


def test_saves_when_due_and_at_the_end(runner):
    hook = SafeCheckpointHook(interval=4)
    runner.max_iters = 10
    for runner.iter in range(10):
        hook.after_train_iter(runner, runner.iter)
    assert runner.saved == [4, 8, 10]


def test_a_checkpoint_waits_for_the_gradients_that_it_does_not_hold(runner):
    hook = SafeCheckpointHook(interval=3)
    runner.max_iters, runner.optim_wrapper = 11, accumulating(runner, 2)
    for runner.iter in range(11):
        hook.after_train_iter(runner, runner.iter)
    assert runner.saved == [4, 6, 10, 11]  # due after 3, 6 and 9; 11 is the end


def test_old_checkpoints_go_after_the_new_one_is_written(runner, tmp_path):
    hook = SafeCheckpointHook(interval=1, max_keep_ckpts=2)
    for runner.iter in range(5):
        hook.after_train_iter(runner, runner.iter)
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_4.pth', 'iter_5.pth']

    def fail(iteration):
        raise OSError('No space left on device')

    runner.save_training_state, runner.iter = fail, 5
    with pytest.raises(OSError, match='No space'):
        hook.after_train_iter(runner, 5)
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_4.pth', 'iter_5.pth']


def test_the_checkpoint_just_written_stays_beside_later_ones_of_another_run(runner, tmp_path):
    (tmp_path / 'iter_30.pth').write_text('of an earlier, longer run')
    hook = SafeCheckpointHook(interval=1, max_keep_ckpts=1)
    for runner.iter in range(2):
        hook.after_train_iter(runner, runner.iter)
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_2.pth', 'iter_30.pth']


def test_bad_checkpoint_fields():
    with pytest.raises(ValueError, match='interval must be >= 1'):
        SafeCheckpointHook(interval=0)
    with pytest.raises(ValueError, match='max_keep_ckpts'):
        SafeCheckpointHook(max_keep_ckpts=0)


# --- GracefulStop --------------------------------------------------------------------------------


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_exits_with_its_code(runner, number, caplog):
    before = signal.getsignal(number)
    hook = GracefulStop(command='python tools/train.py x.py --resume')
    hook.before_train(runner)
    runner.iter = 12
    hook.after_train_iter(runner, 12)
    assert runner.saved == []
    os.kill(os.getpid(), number)
    with caplog.at_level(logging.WARNING), pytest.raises(SystemExit) as stop:
        hook.after_train_iter(runner, 12)
    assert stop.value.code == 128 + number
    assert runner.saved == [13]
    assert 'python tools/train.py x.py --resume' in caplog.text
    assert 'iter_13.pth' in caplog.text
    assert signal.getsignal(number) is before


def test_a_signal_waits_for_the_step_of_accumulated_gradients(runner):
    hook = GracefulStop()
    hook.before_train(runner)
    runner.optim_wrapper = accumulating(runner, 3)
    os.kill(os.getpid(), signal.SIGTERM)
    for runner.iter in (0, 1):
        hook.after_train_iter(runner, runner.iter)
    hook.after_val_iter(runner, 0)
    with pytest.raises(SystemExit):
        runner.iter = 2
        hook.after_train_iter(runner, 2)
    assert runner.saved == [3]


def test_processes_on_gpus_that_have_agreed_stop_after_the_next_step(runner, monkeypatch):
    """Not only where a step of the optimiser falls on an agreement."""
    agreed = []
    monkeypatch.setattr(graceful_stop, 'get_world_size', lambda: 2)
    monkeypatch.setattr(torch.distributed, 'get_backend', lambda: 'nccl')
    monkeypatch.setattr(graceful_stop, 'all_reduce', lambda *_, **__: agreed.append(runner.iter))
    hook = GracefulStop(agree_every=4)
    hook.before_train(runner)
    runner.optim_wrapper = accumulating(runner, 3)
    os.kill(os.getpid(), signal.SIGTERM)
    for runner.iter in range(5):
        hook.after_train_iter(runner, runner.iter)
    with pytest.raises(SystemExit):
        runner.iter = 5
        hook.after_train_iter(runner, 5)
    assert agreed == [3] and runner.saved == [6]


def test_second_ctrl_c_stops_at_once(runner):
    before = signal.getsignal(signal.SIGINT)
    hook = GracefulStop()
    hook.before_train(runner)
    os.kill(os.getpid(), signal.SIGINT)
    hook._received_at -= SAME_SIGNAL_SECONDS
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_a_launcher_passes_on_is_not_a_second_one(runner):
    hook = GracefulStop()
    hook.before_train(runner)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(SystemExit):
        hook.after_train_iter(runner, 0)
    assert runner.saved == [1]


def test_signals_are_given_back_after_training(runner):
    before = signal.getsignal(signal.SIGTERM)
    hook = GracefulStop()
    hook.before_train(runner)
    assert signal.getsignal(signal.SIGTERM) != before
    hook.restore_signals(runner)
    assert signal.getsignal(signal.SIGTERM) is before


def test_signal_during_validation_saves_the_finished_iteration(runner):
    hook = GracefulStop()
    hook.before_train(runner)
    runner.iter = 20
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit):
        hook.after_val_iter(runner, 3)
    assert runner.saved == [20]


# --- PanelHook -----------------------------------------------------------------------------------


class ShowsItself(nn.Module):
    def __init__(self):
        super().__init__()
        self.want_panel = False
        self.panel = None
        self.data_preprocessor = SimpleNamespace(mean=torch.zeros(3), std=torch.ones(3))


def test_panel_is_asked_for_and_written(runner, tmp_path, monkeypatch):
    import sys

    seen = {}

    def training_panel(panel, mean, std, palette):
        seen.update(panel)
        return np.full((4, 8, 3), 128, np.uint8)

    fake = SimpleNamespace(training_panel=training_panel)
    monkeypatch.setitem(sys.modules, 'dsr_nss.visualization.panels', fake)
    images = []
    backend = SimpleNamespace(add_image=lambda name, image, step: images.append((name, step)))
    runner.visualizer._vis_backends = {'TensorboardVisBackend': backend}
    runner.model = ShowsItself()
    hook = PanelHook(interval=3)
    hook.before_train(runner)
    asked = []
    for runner.iter in range(7):
        hook.before_train_iter(runner, runner.iter)
        asked.append(runner.model.want_panel)
        if runner.model.want_panel:
            runner.model.panel = dict(source_image=torch.zeros(1, 3, 4, 4))
        hook.after_train_iter(runner, runner.iter)
    assert asked == [False, False, True, False, False, True, False]
    files = sorted(path.name for path in (tmp_path / 'vis').iterdir())
    assert files == ['iter_000003.png', 'iter_000006.png']
    assert images == [('panel', 3), ('panel', 6)]
    assert 'source_image' in seen
    assert runner.model.panel is None


def test_model_without_panels_is_an_error(runner):
    with pytest.raises(ConfigError, match='Linear'):
        PanelHook().before_train(runner)
