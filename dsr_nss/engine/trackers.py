"""`--log`: where scalars and pictures of a run go besides its own folder."""

from mmengine.config import Config

from dsr_nss.errors import ConfigError

#: Name on the command line -> mmengine's backend. What they need besides is told by environment
#: variables of their own (`WANDB_PROJECT`, `WANDB_MODE=offline`, `MLFLOW_TRACKING_URI`).
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
