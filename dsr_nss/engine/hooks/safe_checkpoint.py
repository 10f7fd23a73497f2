"""Checkpoints every N iterations and at the end, written before older ones are removed."""

from pathlib import Path
from typing import Annotated

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.engine.resume_points import checkpoints_of
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.values import Bounds, Count, checked

#: Name in the message hub of the best score: `dict(name=..., score=...)`.
BEST = 'best_score'


@HOOKS.register_module()
@checked
class SafeCheckpointHook(Hook):
    """Writes `work_dir/iter_N.pth`, then removes what is over `max_keep_ckpts`.

    mmengine's `CheckpointHook` removes first: with one checkpoint to keep, a full disk or a run
    that broke would leave none.

    Args:
        interval: Iterations between two checkpoints; the end of the run is always saved. While
            gradients are accumulated, which no checkpoint holds, the next step of the optimiser is
            waited for.
        max_keep_ckpts: Number of checkpoints to keep; -1 keeps all.
        save_best: A score of the validation, as `'mIoU'` or with its set `'night_val/mIoU'`: the
            state with the highest is kept besides, as `work_dir/best_iter_N.pth`. None keeps none.
    """

    priority = 'VERY_LOW'

    def __init__(
        self,
        interval: Count = 2000,
        max_keep_ckpts: Annotated[int, Bounds(-1)] = -1,
        save_best: str | None = None,
    ) -> None:
        if max_keep_ckpts == 0:
            raise ValueError('max_keep_ckpts must be -1 or >= 1, got 0')
        self.interval = interval
        self.max_keep_ckpts = max_keep_ckpts
        self.save_best = save_best
        self._due = False

    def before_train(self, runner) -> None:
        """Learn the best score so far: it may be younger than the checkpoint that is resumed."""
        if self.save_best is not None and runner.iter:
            kept = [_kept_best(runner, self.save_best) if is_main_process() else None]
            broadcast_object_list(kept)
            if kept[0] is not None:
                runner.message_hub.update_info(BEST, kept[0])

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Save when due."""
        last = runner.iter + 1 == runner.max_iters
        self._due = self._due or self.every_n_train_iters(runner, self.interval)
        if last or (self._due and runner.optim_wrapper.should_update()):
            self._due = False
            runner.save_training_state(runner.iter + 1)
            if is_main_process() and self.max_keep_ckpts > 0:
                self._remove_outdated(runner.work_dir, runner.iter + 1)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Save the best state so far; a resumed run continues with its score.

        Raises:
            ConfigError: The validation has no such score, or several; lists those that it has.
        """
        if self.save_best is None or not runner.iter:
            return
        scores = metrics or {}
        names = [name for name in scores if _is_asked(name, self.save_best)]
        if len(names) != 1:
            raise ConfigError(
                f'default_hooks.checkpoint.save_best: {self.save_best!r} is '
                f'{"no" if not names else "more than one"} score of the validation; it has '
                f'{", ".join(scores)}'
            )
        score = float(scores[names[0]])
        best = runner.message_hub.runtime_info.get(BEST) or {}
        if best.get('name') == names[0] and score <= best['score']:
            return
        runner.message_hub.update_info(BEST, dict(name=names[0], score=score))
        path = Path(runner.work_dir) / f'best_iter_{runner.iter}.pth'
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        runner.save_checkpoint(runner.work_dir, path.name, meta=meta, by_epoch=False)
        if is_main_process():
            runner.logger.info(f'best {names[0]} so far, {score:.2f}: {path}')
            for other in Path(runner.work_dir).glob('best_iter_*.pth'):
                number = other.stem.removeprefix('best_iter_')
                if number.isdecimal() and int(number) < runner.iter:  # as in `_remove_outdated`
                    other.unlink()

    def _remove_outdated(self, work_dir: str, current: int) -> None:
        # what lies in the folder decides, so that a resumed run also counts its former checkpoints;
        # later ones are of another run in the same folder and not this hook's to delete
        earlier = [p for p in checkpoints_of(work_dir) if int(p.stem[5:]) <= current]
        for path in earlier[self.max_keep_ckpts :]:
            path.unlink()


def _is_asked(name: str, asked: str) -> bool:
    """Whether a score is meant by `save_best`, which may leave out its set."""
    return f'/{name}'.endswith(f'/{asked}')


def _kept_best(runner, asked: str) -> dict | None:
    """The score of the best state that lies in the work dir, unless it is of a later iteration."""
    found = []
    for path in Path(runner.work_dir).glob('best_iter_*.pth'):
        try:
            content = load_checkpoint_file(path)
        except (CheckpointError, OSError) as error:
            runner.logger.warning(f'passed over: {error}')
            continue
        best = content.get('message_hub', {}).get('runtime_info', {}).get(BEST) or {}
        if content.get('meta', {}).get('iter', 0) <= runner.iter:
            found += [best] if _is_asked(str(best.get('name')), asked) else []
    return max(found, key=lambda best: best['score'], default=None)
