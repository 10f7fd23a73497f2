"""`--log`: where scalars and pictures of a run go besides its own folder.

Both classes here are mmengine's under their own names; each says what it does otherwise and why.
"""

import os
from logging import WARNING
from pathlib import Path

import mmengine.visualization as visualization
import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import VISBACKENDS

from dsr_nss.errors import ConfigError

#: Name on the command line -> backend.
BACKENDS = {
    'wandb': 'WandbVisBackend',
    'mlflow': 'MLflowVisBackend',
    'tensorboard': 'TensorboardVisBackend',
}


def use_tracker(config: Config, name: str) -> None:
    """Appends the backend to those of the visualizer, in place, unless it is among them.

    Raises:
        ConfigError: The config has no visualizer to append it to.
    """
    if not config.get('visualizer'):
        raise ConfigError(f'--log {name}: the config has no visualizer; base it on default_runtime')
    backends = list(config.visualizer.get('vis_backends') or [])
    if not any(backend['type'] == BACKENDS[name] for backend in backends):
        backends.append(dict(type=BACKENDS[name]))
    config.visualizer.vis_backends = config.vis_backends = backends


def _work_dir(save_dir: str) -> Path:
    """The run's folder; a runner gives its backends `<work dir>/<time>/vis_data`."""
    return Path(save_dir).resolve().parents[1]


@VISBACKENDS.register_module()
class WandbVisBackend(visualization.WandbVisBackend):
    """Weights & Biases; `WANDB_MODE=offline` keeps the run below the work dir.

    Other than mmengine's, it names the run as its folder (or `WANDB_NAME`), draws curves over the
    iterations, and leaves out the code: mmengine sends every Python file below the current
    folder, those of an environment in `.venv` too.

    Args:
        save_dir: Folder of what is not sent.
        init_kwargs: Arguments of `wandb.init`.
        define_metric_cfg: As in mmengine.
        **kwargs: As in mmengine.
    """

    def __init__(
        self,
        save_dir: str,
        init_kwargs: dict | None = None,
        define_metric_cfg: dict | list | None = None,
        **kwargs,
    ) -> None:
        name = os.environ.get('WANDB_NAME') or _work_dir(save_dir).name
        metrics = define_metric_cfg or [dict(name='*', step_metric='iter')]
        super().__init__(save_dir, {'name': name, **(init_kwargs or {})}, metrics, **kwargs)

    def _init_env(self) -> None:
        import wandb

        try:
            super()._init_env()
        except wandb.Error as error:
            raise ConfigError(
                f'--log wandb: {error} WANDB_MODE=offline keeps the run in the work dir.'
            ) from error

    def add_config(self, config: Config, **kwargs) -> None:
        """Records the whole config."""
        self.experiment.config.update(config.to_dict(), allow_val_change=True)


@VISBACKENDS.register_module()
class MLflowVisBackend(visualization.MLflowVisBackend):
    """MLflow: the server or database of `MLFLOW_TRACKING_URI`, else `mlflow.db` in the work dir.

    mmengine's ignores that variable, keeps runs in a folder of files, which MLflow refuses by
    now, gives pictures no type of file, with which no version can write them, and at the end
    copies the whole work dir. Experiments are `dsr_nss` (or `MLFLOW_EXPERIMENT_NAME`), runs are
    named as their folders.

    Args:
        save_dir: Folder of the run's logs.
        exp_name: The experiment.
        run_name: The run in it.
        tracking_uri: As the variable.
        **kwargs: As in mmengine.
    """

    def __init__(
        self,
        save_dir: str,
        exp_name: str | None = None,
        run_name: str | None = None,
        tracking_uri: str | None = None,
        **kwargs,
    ) -> None:
        folder = _work_dir(save_dir)
        tracking_uri = tracking_uri or os.environ.get('MLFLOW_TRACKING_URI')
        if not tracking_uri:
            tracking_uri = f'sqlite:///{folder / "mlflow.db"}'
            kwargs.setdefault('artifact_location', (folder / 'mlflow').as_uri())
        super().__init__(
            save_dir,
            exp_name or os.environ.get('MLFLOW_EXPERIMENT_NAME') or 'dsr_nss',
            run_name or os.environ.get('MLFLOW_RUN_NAME') or folder.name,
            tracking_uri=tracking_uri,
            **{'artifact_suffix': (), **kwargs},
        )

    def _init_env(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            super()._init_env()
        except MlflowException as error:
            raise ConfigError(f'--log mlflow: {self._tracking_uri}: {error}') from error

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs) -> None:
        """Keeps a picture of each step under one name; one that is not taken is a warning.

        Args:
            name: Letters, digits and `_-. /`.
            image: `(H, W, 3)` uint8 RGB.
            step: Its iteration.
        """
        mlflow = self.experiment
        try:
            mlflow.log_image(image, key=name, step=step, synchronous=True)
        except mlflow.MlflowException as error:
            print_log(f'MLflow did not take {name} of step {step}: {error}', 'current', WARNING)
