"""What is averaged in the log, and what is not."""

from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from dsr_nss.engine.log_processor import AdaptationLogProcessor

KEY = 'dark_zurich_val/mIoU'


@pytest.fixture
def runner(request):
    hub = MessageHub.get_instance(request.node.name)
    loader = SimpleNamespace(batch_size=2, __len__=lambda: 3)
    return SimpleNamespace(
        message_hub=hub,
        iter=9,
        max_iters=20,
        val_loop=SimpleNamespace(dataloader=[None] * 3),
        train_dataloader=loader,
        world_size=1,
    )


def test_a_validation_reports_its_own_score_not_the_mean_of_all(runner):
    for score in (10.0, 20.0, 60.0):
        runner.message_hub.update_scalar(f'val/{KEY}', score)
        runner.message_hub.update_scalar('val/time', 0.5)
        runner.message_hub.update_scalar('val/data_time', 0.1)
    tag, line = AdaptationLogProcessor().get_log_after_epoch(runner, 2, 'val')
    assert tag[KEY] == 60.0
    assert f'{KEY}: 60.0' in line


def test_training_losses_are_means_of_the_window(runner):
    for loss in (1.0, 2.0, 6.0):
        runner.message_hub.update_scalar('train/loss_source', loss)
        runner.message_hub.update_scalar('train/lr', loss)
        runner.message_hub.update_scalar('train/time', 0.5)
    processor = AdaptationLogProcessor(window_size=2)
    tag, line = processor.get_log_after_iter(runner, 9, 'train')
    assert tag['loss_source'] == 4.0 and tag['lr'] == 6.0
    assert tag['samples_per_second'] == 4.0
    assert 'loss_source 4' in line and 'Iter 10/20' in line


def test_what_is_measured_now_and_then_is_not_averaged(runner):
    for share in (1.0, 2.0, 6.0):
        runner.message_hub.update_scalar('train/gradient_share_mixed', share)
        runner.message_hub.update_scalar('train/pseudo_accuracy_small', share)
        runner.message_hub.update_scalar('train/pseudo_weight', share)
    tag, _ = AdaptationLogProcessor().get_log_after_iter(runner, 9, 'train')
    assert tag['gradient_share_mixed'] == tag['pseudo_accuracy_small'] == 6.0
    assert tag['pseudo_weight'] == 3.0
