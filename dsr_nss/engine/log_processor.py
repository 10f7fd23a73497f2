"""One readable log line for each log interval."""

import datetime
import resource
import sys

import torch
from mmengine.dist import get_world_size
from mmengine.runner import LogProcessor
from mmseg.registry import LOG_PROCESSORS

from dsr_nss.values import Count, checked

_TIMES = r'.*time'
#: Beginnings of numbers that are measured in few steps only, so that a mean of the last ones would
#: reach far back: lines show the last one until there is another.
MEASURED = ('gradient_', 'pseudo_accuracy')
_CURRENT = ('lr', 'base_lr', *MEASURED)


@LOG_PROCESSORS.register_module()
@checked
class AdaptationLogProcessor(LogProcessor):
    """`Iter  50/800  eta 0:03:10  lr 6.0e-04  loss 2.31  loss_source 1.23 ...  4.9 samples/s  ...`

    Every loss and number by name, averaged over the window (of what is measured now and then, the
    last one), those of the first process where there are several; then samples (a source image and
    its night image) per second over all processes, seconds per iteration with the share that waited
    for data, and memory: the peak on the GPU, else that of this process. All of it goes to
    TensorBoard too.

    Args:
        window_size: Iterations that are averaged.
    """

    def __init__(self, window_size: Count = 50) -> None:
        super().__init__(window_size=window_size, by_epoch=False, mean_pattern=_TIMES)

    def get_log_after_iter(self, runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """Numbers by name, and the line."""
        if mode != 'train':
            return super().get_log_after_iter(runner, batch_idx, mode)
        # only here: the scores of a validation must not be averaged with those of earlier ones
        self.mean_pattern = r'.*'
        tag = dict(self._collect_scalars([], runner, mode))
        self.mean_pattern = _TIMES
        for name in tag:
            if name.startswith(_CURRENT):
                tag[name] = runner.message_hub.get_scalar(f'train/{name}').current()
        tag['memory'] = self._memory(runner)
        if tag.get('time'):
            batch = getattr(runner.train_dataloader, 'batch_size', None) or 1
            tag['samples_per_second'] = batch * get_world_size() / tag['time']
        line = self._line(runner, tag)
        tag['iter'] = runner.iter + 1
        return tag, line

    def _line(self, runner, tag: dict) -> str:
        total = str(runner.max_iters)
        parts = [f'Iter {str(runner.iter + 1).rjust(len(total))}/{total}']
        if 'eta' in runner.message_hub.runtime_info:
            eta = int(runner.message_hub.get_info('eta'))
            parts.append(f'eta {datetime.timedelta(seconds=eta)}')
        lr = tag.get('base_lr', tag.get('lr'))
        if lr is not None:
            parts.append(f'lr {lr:.2e}')
        apart = ('lr', 'base_lr', 'time', 'data_time', 'memory', 'samples_per_second')
        parts += [f'{name} {value:.4g}' for name, value in tag.items() if name not in apart]
        if 'samples_per_second' in tag:
            parts.append(f'{tag["samples_per_second"]:.2f} samples/s')
            parts.append(f'{tag["time"]:.2f} s/iter (data {tag.get("data_time", 0):.2f})')
        parts.append(f'memory {tag["memory"] / 1024:.1f} GiB')
        return '  '.join(parts)

    def _memory(self, runner) -> int:
        """Peak memory in MiB."""
        if torch.cuda.is_available():
            return int(torch.cuda.max_memory_allocated() / 2**20)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak / (2**20 if sys.platform == 'darwin' else 2**10))
