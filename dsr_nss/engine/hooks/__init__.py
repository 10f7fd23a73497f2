"""Side effects of training, one hook per file."""

from dsr_nss.engine.hooks.finite_loss_guard import FiniteLossGuard
from dsr_nss.engine.hooks.graceful_stop import GracefulStop
from dsr_nss.engine.hooks.gradient_share import GradientShare
from dsr_nss.engine.hooks.panel import PanelHook
from dsr_nss.engine.hooks.pseudo_label_accuracy import PseudoLabelAccuracy
from dsr_nss.engine.hooks.safe_checkpoint import SafeCheckpointHook
from dsr_nss.engine.hooks.seed_each_iteration import SeedEachIteration
from dsr_nss.engine.hooks.training_info import TrainingInfoHook

__all__ = [
    'FiniteLossGuard',
    'GracefulStop',
    'GradientShare',
    'PanelHook',
    'PseudoLabelAccuracy',
    'SafeCheckpointHook',
    'SeedEachIteration',
    'TrainingInfoHook',
]
