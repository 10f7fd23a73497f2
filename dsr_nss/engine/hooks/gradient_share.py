"""How hard each loss pulls at the encoder, compared with the source loss."""

from collections.abc import Sequence

import torch
import torch._functorch.config as functorch_config
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor

from dsr_nss.engine.processes import plain_model
from dsr_nss.errors import ConfigError
from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.values import Count, checked

#: What every other loss is compared with.
SOURCE = 'loss_source'


@HOOKS.register_module()
@checked
class GradientShare(Hook):
    """Logs the norm of each loss's gradient on the encoder, over that of the source loss.

    Every `interval` steps `gradient_source` is the norm of the source loss's gradient over all
    trained parameters of the student's encoder, and `gradient_share_mixed`, `gradient_share_proto`
    and so on are the norms of the other losses, weighted as they are summed, divided by it. A loss
    of zero weight has 0, and so has one that does not reach the encoder.

    The step trains as it would without the hook: the gradients are computed from the same graph,
    apart from the parameters' own, and nothing is drawn. It costs one backward pass a loss, and on
    that step the graph is held for longer.

    Args:
        interval: Steps between two measurements.
    """

    priority = 'LOW'

    def __init__(self, interval: Count = 50) -> None:
        self.interval = interval

    def before_train(self, runner) -> None:
        """Check that there is an encoder; compiled passes must keep what several backwards need."""
        if hasattr(functorch_config, 'donated_buffer'):  # torch 2.6 and later
            functorch_config.donated_buffer = False
        if not isinstance(plain_model(runner), Adaptation):
            raise ConfigError(
                f'GradientShare needs an Adaptation, got {type(plain_model(runner)).__name__}: '
                'remove the hook'
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Ask for the losses of this step."""
        model = plain_model(runner)
        if self.every_n_train_iters(runner, self.interval):
            parameters = [p for p in model.student.backbone.parameters() if p.requires_grad]
            model.watch_losses = lambda losses: gradient_shares(losses, parameters)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Look away."""
        plain_model(runner).watch_losses = None


def gradient_shares(losses: dict[str, Tensor], parameters: Sequence[Tensor]) -> dict[str, Tensor]:
    """Norms of the gradients of losses, over that of the source loss.

    Args:
        losses: Numbers of a step by name, 0-dimensional with a graph; those whose names begin with
            `loss_` count, `loss_source` among them.
        parameters: Trained parameters, of any shapes.

    Returns:
        `gradient_source`, a norm, and `gradient_share_<name>` of every other loss, 0-dimensional
        float32 each. Shares are huge, not infinite, where the source loss has no gradient.
    """
    norms = {
        name: _norm(loss, parameters) for name, loss in losses.items() if name.startswith('loss_')
    }
    source = norms.pop(SOURCE)
    shares = {
        f'gradient_share_{name.removeprefix("loss_")}': norm / source.clamp(min=1e-12)
        for name, norm in norms.items()
    }
    return {'gradient_source': source, **shares}


def _norm(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    zero = torch.zeros((), device=loss.device)
    if not loss.requires_grad:
        return zero
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    squares = [each.float().square().sum() for each in found if each is not None]
    return torch.stack(squares).sum().sqrt() if squares else zero
