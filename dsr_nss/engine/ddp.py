"""Several processes: the training step of an `Adaptation` through torch's gradient exchange."""

import warnings
from typing import Any

from mmengine.dist import all_reduce_params
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS  # the runner looks wrappers up there alone
from torch import Tensor, nn

from dsr_nss.structures import AdaptationBatch


@MODEL_WRAPPERS.register_module()
class AdaptationDDP(MMDistributedDataParallel):
    """As mmengine's wrapper, and after the optimiser step the module's `after_step` runs.

    Every process holds its own teacher and its own bank. The students stay equal: gradients are
    averaged, and so are the running statistics of their batch norms after each step. So do the
    teachers, which follow them, but for statistics of their own (`teacher_bn='target'`). The banks
    hold what each process saw, so buffers are never broadcast; a checkpoint holds what every
    process has for itself (`process_states`).

    Args:
        module: The model.
        device_ids: Given by the runner; dropped for a model on the CPU.
        **kwargs: Arguments of `torch.nn.parallel.DistributedDataParallel`, e.g.
            `find_unused_parameters`.
    """

    def __init__(self, module: nn.Module, device_ids: list[int] | None = None, **kwargs) -> None:
        if next(module.parameters()).device.type == 'cpu':
            device_ids = None
        kwargs.setdefault('broadcast_buffers', False)
        with warnings.catch_warnings():
            # newer torch announces another name for `broadcast_buffers`, which older torch lacks
            warnings.filterwarnings('ignore', message='`broadcast_buffers` is deprecated')
            super().__init__(module=module, device_ids=device_ids, **kwargs)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """mmengine's step with averaged gradients, then what `Adaptation.train_step` adds to it."""
        log_vars = super().train_step(data, optim_wrapper)
        self._average_statistics()
        if hasattr(self.module, 'after_step') and optim_wrapper.should_update():
            self.module.after_step()
        return log_vars

    def _average_statistics(self) -> None:
        student: Any = getattr(self.module, 'student', self.module)
        statistics = [buffer for buffer in student.buffers() if buffer.is_floating_point()]
        if statistics:
            all_reduce_params(statistics, op='mean')

    def _run_forward(self, data: Any, mode: str) -> Any:
        if isinstance(data, AdaptationBatch):
            return self(data, mode=mode)
        return super()._run_forward(data, mode)
