"""Checkpoints every N iterations and at the end, written before older ones are removed."""

from typing import Annotated

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from dsr_nss.engine.resume_points import checkpoints_of
from dsr_nss.values import Bounds, Count, checked


@HOOKS.register_module()
@checked
class SafeCheckpointHook(Hook):
    """Writes `work_dir/iter_N.pth`, then removes what is over `max_keep_ckpts`.

    mmengine's `CheckpointHook` removes first: with one checkpoint to keep, a full disk or a run
    that broke would leave none.

    Args:
        interval: Iterations between two checkpoints; the end of the run is always saved.
        max_keep_ckpts: Number of checkpoints to keep; -1 keeps all.
    """

    priority = 'VERY_LOW'

    def __init__(
        self, interval: Count = 2000, max_keep_ckpts: Annotated[int, Bounds(-1)] = -1
    ) -> None:
        if max_keep_ckpts == 0:
            raise ValueError('max_keep_ckpts must be -1 or >= 1, got 0')
        self.interval = interval
        self.max_keep_ckpts = max_keep_ckpts

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Save when due."""
        last = runner.iter + 1 == runner.max_iters
        if last or self.every_n_train_iters(runner, self.interval):
            runner.save_training_state(runner.iter + 1)
            if is_main_process() and self.max_keep_ckpts > 0:
                self._remove_outdated(runner.work_dir, runner.iter + 1)

    def _remove_outdated(self, work_dir: str, current: int) -> None:
        # what lies in the folder decides, so that a resumed run also counts its former checkpoints;
        # later ones are of another run in the same folder and not this hook's to delete
        earlier = [p for p in checkpoints_of(work_dir) if int(p.stem[5:]) <= current]
        for path in earlier[self.max_keep_ckpts :]:
            path.unlink()
