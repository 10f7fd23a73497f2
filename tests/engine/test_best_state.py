"""The best state of a run by its validation: `save_best` of `SafeCheckpointHook`."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from dsr_nss.engine.hooks import SafeCheckpointHook
from dsr_nss.errors import ConfigError


def test_a_resumed_run_knows_the_best_score_of_after_its_checkpoint(tmp_path, caplog):
    """A checkpoint is written before the validation of its iteration."""
    written = MessageHub('written')
    written.update_info('best_score', dict(name='night_val/mIoU', score=30.0))
    for name, iteration in (('best_iter_8', 8), ('best_iter_16', 16)):
        content = dict(meta=dict(iter=iteration), message_hub=written.state_dict())
        torch.save({**content, 'state_dict': {}}, tmp_path / f'{name}.pth')
        written.update_info('best_score', dict(name='night_val/mIoU', score=40.0))
    (tmp_path / 'best_iter_4.pth').write_bytes(b'cut off')
    hub = MessageHub('resumed')
    runner = SimpleNamespace(
        iter=8, work_dir=str(tmp_path), message_hub=hub, logger=logging.getLogger('best'),
    )  # fmt: skip
    hook = SafeCheckpointHook(save_best='mIoU')
    with caplog.at_level(logging.WARNING):
        hook.before_train(runner)
    assert hub.get_info('best_score')['score'] == 30.0  # 16 is not yet reached
    assert 'best_iter_4.pth' in caplog.text
    hook.after_val_epoch(
        runner, {'night_val/mIoU': 29.0}
    )  # would save, and fail for want of a runner


def test_the_best_state_is_kept_besides(tmp_path):
    hub = MessageHub('best')
    saved = []

    def save(folder, name, **kwargs):
        saved.append((name, kwargs['meta']['iter']))
        (tmp_path / name).touch()

    runner = SimpleNamespace(
        iter=4, epoch=0, work_dir=str(tmp_path), message_hub=hub, save_checkpoint=save,
        logger=logging.getLogger('best'),
    )  # fmt: skip
    hook = SafeCheckpointHook(save_best='mIoU')
    for runner.iter, score in ((4, 20.0), (8, 30.0), (12, 25.0)):
        hook.after_val_epoch(runner, {'night_val/mIoU': score, 'night_val/mIoU_small': 99.0})
    assert saved == [('best_iter_4.pth', 4), ('best_iter_8.pth', 8)]
    assert [path.name for path in tmp_path.iterdir()] == ['best_iter_8.pth']
    # a resumed run has the score in its message hub
    SafeCheckpointHook(save_best='night_val/mIoU').after_val_epoch(runner, {'night_val/mIoU': 29.0})
    assert len(saved) == 2
    with pytest.raises(ConfigError, match=r"'IoU' is no score of the validation; it has night_val"):
        SafeCheckpointHook(save_best='IoU').after_val_epoch(runner, {'night_val/mIoU': 1.0})


def test_another_score_is_not_compared_with_the_best_so_far(tmp_path):
    hub = MessageHub('another')
    saved = []
    runner = SimpleNamespace(
        iter=4, epoch=0, work_dir=str(tmp_path), message_hub=hub,
        save_checkpoint=lambda folder, name, **kwargs: saved.append(name),
        logger=logging.getLogger('best'),
    )  # fmt: skip
    scores = {'night_val/mIoU': 40.0, 'night_val/aAcc': 80.0}
    SafeCheckpointHook(save_best='aAcc').after_val_epoch(runner, scores)
    runner.iter = 8
    SafeCheckpointHook(save_best='mIoU').after_val_epoch(runner, scores)
    assert saved == ['best_iter_4.pth', 'best_iter_8.pth']


def test_a_best_state_of_later_is_not_deleted(tmp_path):
    """A run that was resumed from before it may be worse."""
    for name in ('best_iter_4.pth', 'best_iter_12.pth', 'best_iter_mine.pth'):
        (tmp_path / name).touch()
    runner = SimpleNamespace(
        iter=8, epoch=0, work_dir=str(tmp_path), message_hub=MessageHub('later'),
        save_checkpoint=lambda folder, name, **kwargs: (tmp_path / name).touch(),
        logger=logging.getLogger('best'),
    )  # fmt: skip
    SafeCheckpointHook(save_best='mIoU').after_val_epoch(runner, {'mIoU': 1.0})
    assert {path.name for path in tmp_path.iterdir()} == {
        'best_iter_8.pth', 'best_iter_12.pth', 'best_iter_mine.pth',
    }  # fmt: skip
