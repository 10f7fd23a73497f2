"""The long-tail memory bank [5].

Numbers in brackets are equations of arXiv 2310.04747.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.classes import class_ids
from dsr_nss.errors import ConfigError
from dsr_nss.models.dsr.mixup import Mixed
from dsr_nss.values import Count, OneOf, checked

ToNormalised = Callable[[Tensor], Tensor]


@MODELS.register_module()
@checked
class LongTailMemoryBank(BaseModule):
    """FIFO store of source images with long-tail objects, pasted onto mixed images now and then.

    Image, mask and label are aligned buffers of the state dict with a fixed size, so memory does
    not grow and a resumed run continues with the same bank. Nothing here waits for the device: an
    image without a long-tail pixel is written to a spare slot that is never read.

    Args:
        class_names: Names of all classes; the position is the id.
        long_tail_classes: Names of the classes whose regions are stored.
        size: (height, width) of the training crops.
        capacity: Number of stored images.
        interval: Paste on every `interval`-th step.
        device: Place of the store: `'model'`, wherever the model is, or `'cpu'`, which saves memory
            of a GPU and waits for it in every step.
    """

    class_fields = dict(class_names='names', long_tail_classes='long_tail')
    config_fields = dict(size='train_dataloader.dataset.crop_size')
    #: Pasted objects are augmented like the rest of the mixed image.
    after_augmentation = False
    images: Tensor
    labels: Tensor
    masks: Tensor
    pushed: Tensor

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        long_tail_classes: Sequence[str],
        size: tuple[Count, Count],
        capacity: Count = 6,
        interval: Count = 5,
        device: Annotated[str, OneOf(('cpu', 'model'))] = 'model',
    ) -> None:
        super().__init__()
        self.capacity = capacity
        self.interval = interval
        self.device = device
        long_tail = torch.zeros(256, dtype=torch.bool)
        long_tail[list(class_ids(long_tail_classes, class_names))] = True
        self.register_buffer('long_tail', long_tail, persistent=False)
        slots = capacity + 1  # the last one takes what is not to be kept
        self.register_buffer('images', torch.zeros(slots, 3, *size, dtype=torch.uint8))
        self.register_buffer('labels', torch.zeros(slots, *size, dtype=torch.uint8))
        self.register_buffer('masks', torch.zeros(slots, *size, dtype=torch.bool))
        self.register_buffer('pushed', torch.zeros((), dtype=torch.int64))

    def _apply(self, fn, recurse: bool = True):
        if self.device == 'cpu':
            return self  # `.to(device)` of the parent leaves the store where the config put it
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def forward(
        self, mixed: Mixed, image: Tensor, label: Tensor, step: int, to_normalised: ToNormalised
    ) -> Mixed:
        """One step: paste if the step is due, then store the source batch.

        Args:
            mixed: What comes from the mixup; not modified.
            image: `(B, 3, H, W)` un-augmented source images, RGB in [0, 1].
            label: `(B, H, W)` int64, their labels.
            step: Number of the step, counted from 1.
            to_normalised: Function from RGB `(..., 3, H, W)` in [0, 1] to normalised values.
        """
        if self.due(step):
            mixed = self.paste(mixed, to_normalised)
        self.push(image, label)
        return mixed

    @torch.no_grad()
    def push(self, image: Tensor, label: Tensor) -> None:
        """Store the long-tail regions of a source batch; the oldest images make room.

        Args:
            image: `(B, 3, H, W)` un-augmented RGB in [0, 1].
            label: `(B, H, W)` int64.

        Raises:
            ConfigError: The size is not that of the bank.
        """
        if image.shape[-2:] != self.images.shape[-2:]:
            raise ConfigError(
                f'the bank was built for crops of {tuple(self.images.shape[-2:])}, got '
                f'{tuple(image.shape[-2:])}: set `bank.size` to the crop size'
            )
        pixels = (image * 255).round().to(torch.uint8).to(self.images.device)
        label = label.to(torch.uint8).to(self.images.device)
        mask = self.long_tail[label.int()]
        keep = mask.flatten(1).any(dim=1)
        position = (self.pushed + keep.cumsum(0) - 1) % self.capacity
        for i in range(len(image)):  # one after the other: later images of a batch may share a slot
            slot = torch.where(keep[i], position[i], self.capacity)[None]
            self.images.index_copy_(0, slot, pixels[i : i + 1])
            self.labels.index_copy_(0, slot, label[i : i + 1])
            self.masks.index_copy_(0, slot, mask[i : i + 1])
        self.pushed += keep.sum()

    def composite(self) -> tuple[Tensor, Tensor, Tensor]:
        """All stored regions pasted over one another, oldest first.

        Returns:
            Image `(3, H, W)` uint8, label `(H, W)` uint8 and mask `(H, W)` bool.
        """
        order = (
            self.pushed + torch.arange(self.capacity, device=self.pushed.device)
        ) % self.capacity
        masks = self.masks[order]  # oldest to newest; never-filled slots have empty masks
        rank = torch.arange(1, self.capacity + 1, device=masks.device, dtype=torch.int32)
        newest = (masks * rank.view(-1, 1, 1)).amax(dim=0)
        slot = order[(newest - 1).clamp(min=0).long()]
        label = self.labels.gather(0, slot[None])[0]
        image = self.images.gather(0, slot[None, None].expand(1, 3, -1, -1))[0]
        return image, label, newest > 0

    def due(self, step: int) -> bool:
        """Whether step `step` (counted from 1) pastes: `t % interval == 0`."""
        return step % self.interval == 0

    @torch.no_grad()
    def paste(self, mixed: Mixed, to_normalised: ToNormalised) -> Mixed:
        """`X'_m = B_m B_i + (1 - B_m) X_m` for every stored image at its own position.

        Args:
            mixed: What comes from the mixup; not modified.
            to_normalised: Function from RGB `(1, 3, H, W)` in [0, 1] to normalised values.

        Returns:
            The mixed batch with the objects of the bank; a pasted pixel's weight is 1.
        """
        image, label, mask = (t.to(mixed.image.device) for t in self.composite())
        pixels = to_normalised(image[None].to(mixed.image.dtype) / 255)
        return Mixed(
            image=torch.where(mask, pixels, mixed.image),
            label=torch.where(mask, label.long(), mixed.label),
            weight=mixed.weight.masked_fill(mask, 1.0),
            mask=mixed.mask | mask,
        )
