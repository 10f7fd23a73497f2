"""The memory bank of the authors' code: whole batches instead of images."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.errors import ConfigError
from dsr_nss.models.dsr.memory_bank import ToNormalised
from dsr_nss.models.dsr.mixup import Mixed
from dsr_nss.models.named_classes import named_classes
from dsr_nss.values import Count, checked


@MODELS.register_module()
@checked
class BatchMemoryBank(BaseModule):
    """The last source batches; image `i` of each is pasted onto mixed image `i` now and then.

    Unlike :class:`LongTailMemoryBank` it stores batches without any long-tail pixel too, takes in
    the current batch before it pastes, leaves the pixel weights as they are, and pastes after the
    photometric augmentation. For comparison with the authors' figures (arXiv 2310.04747, code).

    Args:
        class_names: Names of all classes; the position is the id.
        long_tail_classes: Names of the classes whose regions are pasted.
        size: (height, width) of the training crops.
        batch_size: Images in a source batch.
        capacity: Number of stored batches.
        interval: Paste on every `interval`-th step.
    """

    #: Pasted objects stay as they were stored.
    after_augmentation = True
    images: Tensor
    labels: Tensor
    pushed: Tensor
    long_tail: Tensor

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        long_tail_classes: Sequence[str],
        size: tuple[Count, Count],
        batch_size: Count = 2,
        capacity: Count = 3,
        interval: Count = 5,
    ) -> None:
        super().__init__()
        self.capacity = capacity
        self.interval = interval
        members = named_classes(long_tail_classes, class_names)
        long_tail = torch.zeros(256, dtype=torch.bool)
        long_tail[: len(members)] = members
        self.register_buffer('long_tail', long_tail, persistent=False)
        shape = (capacity, batch_size)
        self.register_buffer('images', torch.zeros(*shape, 3, *size, dtype=torch.uint8))
        # 255 is no long-tail class, so nothing is pasted from a slot that was never filled
        self.register_buffer('labels', torch.full((*shape, *size), 255, dtype=torch.uint8))
        self.register_buffer('pushed', torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(
        self, mixed: Mixed, image: Tensor, label: Tensor, step: int, to_normalised: ToNormalised
    ) -> Mixed:
        """One step: store the source batch, then paste if the step is due.

        Args:
            mixed: The augmented mixture; not modified.
            image: `(B, 3, H, W)` un-augmented source images, RGB in [0, 1].
            label: `(B, H, W)` int64, their labels.
            step: Number of the step, counted from 1.
            to_normalised: Function from RGB `(..., 3, H, W)` in [0, 1] to normalised values.

        Raises:
            ConfigError: The batch has not the shape of the bank.
        """
        if image.shape != self.images.shape[1:]:
            raise ConfigError(
                f'the bank was built for batches of {tuple(self.images.shape[1:])}, got '
                f'{tuple(image.shape)}: set `bank.batch_size` and `bank.size`'
            )
        slot = (self.pushed % self.capacity)[None]
        self.images.index_copy_(0, slot, (image * 255).round().to(torch.uint8)[None])
        self.labels.index_copy_(0, slot, label.to(torch.uint8)[None])
        self.pushed += 1
        return self.paste(mixed, to_normalised) if self.due(step) else mixed

    def due(self, step: int) -> bool:
        """Whether step `step` (counted from 1) pastes."""
        return step % self.interval == 0

    def paste(self, mixed: Mixed, to_normalised: ToNormalised) -> Mixed:
        """The mixed batch with the long-tail regions of every stored batch, oldest first."""
        age = torch.arange(self.capacity, device=self.pushed.device)
        order = (self.pushed + age) % self.capacity
        image, label, mask = mixed.image, mixed.label, mixed.mask
        for pixels, ids in zip(self.images[order], self.labels[order], strict=True):
            region = self.long_tail[ids.int()]
            pasted = to_normalised(pixels.to(image.dtype) / 255)
            image = torch.where(region[:, None], pasted, image)
            label = torch.where(region, ids.long(), label)
            mask = mask | region[:, None]
        return Mixed(image=image, label=label, weight=mixed.weight, mask=mask)
