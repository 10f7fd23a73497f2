"""A picture of what a training step really saw, every N iterations."""

import io
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.visualization import LocalVisBackend
from mmseg.registry import HOOKS
from PIL import Image

from dsr_nss.engine.processes import plain_model
from dsr_nss.errors import ConfigError
from dsr_nss.files import write_bytes
from dsr_nss.values import Count, checked


@HOOKS.register_module()
@checked
class PanelHook(Hook):
    """Writes `work_dir/vis/iter_000500.png` and adds it to TensorBoard (and other backends).

    Source, night, reference, mask, mixed image, pixels of the bank, mixed label, the teacher's
    prediction, the pseudo-label (what refinement by the day made of it) and its confidence side by
    side, or for matching the views, the reference warped and the confidence; a method without a
    target shows what it has.

    Args:
        interval: Iterations between two pictures.
    """

    priority = 'LOW'

    def __init__(self, interval: Count = 500) -> None:
        self.interval = interval

    def before_train(self, runner) -> None:
        """Check that the model can show itself."""
        if not hasattr(plain_model(runner), 'want_panel'):
            raise ConfigError(
                f'PanelHook needs a model that keeps panels (an Adaptation or WarpConsistency), '
                f'got {type(plain_model(runner)).__name__}: set default_hooks.panel=None'
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Ask for the intermediate pictures of this step."""
        due = is_main_process() and self.every_n_train_iters(runner, self.interval)
        plain_model(runner).want_panel = due

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Draw and write them."""
        model = plain_model(runner)
        if not model.want_panel:
            return
        from dsr_nss.visualization.panels import training_panel

        model.want_panel = False
        panel, model.panel = model.panel, None
        preprocessor = model.data_preprocessor
        # a set of image pairs has no classes
        metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
        palette = metainfo.get('palette', ())
        picture = training_panel(panel, preprocessor.mean, preprocessor.std, palette)

        iteration = runner.iter + 1
        path = Path(runner.work_dir) / 'vis' / f'iter_{iteration:06d}.png'
        content = io.BytesIO()
        Image.fromarray(picture).save(content, 'PNG')
        write_bytes(path, content.getvalue())
        for backend in runner.visualizer._vis_backends.values():
            if not isinstance(backend, LocalVisBackend):  # that one would write the file again
                backend.add_image('panel', picture, step=iteration)
