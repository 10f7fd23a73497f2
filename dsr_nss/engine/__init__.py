"""Training: optimiser, schedule, hooks, runner, and how a run is started."""

from dsr_nss.engine import hooks
from dsr_nss.engine.ddp import AdaptationDDP
from dsr_nss.engine.log_processor import AdaptationLogProcessor
from dsr_nss.engine.optim_constructor import GroupedOptimWrapperConstructor
from dsr_nss.engine.optim_wrapper import AdaptiveAmpOptimWrapper
from dsr_nss.engine.runner import AdaptationRunner
from dsr_nss.engine.schedule import WarmupPolyLR
from dsr_nss.engine.trackers import MLflowVisBackend, WandbVisBackend

__all__ = [
    'AdaptationDDP',
    'AdaptationLogProcessor',
    'AdaptationRunner',
    'AdaptiveAmpOptimWrapper',
    'GroupedOptimWrapperConstructor',
    'MLflowVisBackend',
    'WandbVisBackend',
    'WarmupPolyLR',
    'hooks',
]
