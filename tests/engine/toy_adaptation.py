"""A training small enough to run in a second, with every part that the engine touches."""

import time

import numpy as np
import torch
from mmseg.registry import DATASETS, MODELS
from torch import Tensor, nn
from torch.utils.data import Dataset

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.errors import DataError
from dsr_nss.models.preprocessor import AdaptationPreprocessor  # noqa: F401
from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.models.teacher import EMATeacher
from dsr_nss.structures import AdaptationBatch

CONFIG = """
custom_imports = dict(imports=['dsr_nss', 'toy_adaptation'], allow_failed_imports=False)
default_scope = 'mmseg'
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
randomness = dict(seed=0)
model = dict(type='ToyAdaptation', data_preprocessor=dict(type='AdaptationPreprocessor'))
train_dataloader = dict(
    batch_size=2, num_workers=0, collate_fn=dict(type='default_collate'),
    sampler=dict(type='StepSampler'), dataset=dict(type='ToyDataset', seed=0))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=6, val_interval=1000)
optim_wrapper = dict(
    type='OptimWrapper', constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.01),
    paramwise_cfg=dict(backbone_lr_mult=0.1))
param_scheduler = dict(type='WarmupPolyLR', warmup=2, by_epoch=False)
default_hooks = dict(
    runtime_info=dict(type='TrainingInfoHook'),
    logger=dict(type='LoggerHook', interval=2, log_metric_by_epoch=False),
    checkpoint=dict(type='SafeCheckpointHook', interval=3),
    seed=dict(type='SeedEachIteration'),
    finite=dict(type='FiniteLossGuard', interval=2),
    stop=dict(type='GracefulStop'))
log_processor = dict(type='AdaptationLogProcessor', window_size=2)
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
"""


@MODELS.register_module()
class ToyNetwork(nn.Module):
    """`backbone.*` and `decode_head.*`, as a segmentor's state dict.

    Args:
        data_preprocessor: Given to every student; unused.
        width: Channels.
    """

    def __init__(self, data_preprocessor: dict, width: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width))
        self.decode_head = nn.Conv2d(width, 19, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode_head(self.backbone(image).relu())


@MODELS.register_module()
class ToyAdaptation(Adaptation):
    """An `Adaptation` with a tiny student and a loss that uses teacher and bank a little.

    Its step is the real one; what is small is the network and the loss.

    Args:
        data_preprocessor: See `Adaptation`.
        width: Of the network.
        bank_size: Side of the bank's image.
        break_at: From this step (counted from 1) on, `loss_mixed` is NaN.
        sleep: Seconds a step takes.
    """

    def __init__(
        self,
        *,
        data_preprocessor: dict,
        width: int = 4,
        bank_size: int = 8,
        break_at: int | None = None,
        sleep: float = 0.0,
    ) -> None:
        super().__init__(
            student=dict(type='ToyNetwork', width=width), data_preprocessor=data_preprocessor
        )
        self.teacher = EMATeacher(student=self.student, momentum=0.9)
        self.bank = nn.Module()
        self.bank.register_buffer('images', torch.zeros(3, bank_size, bank_size))
        self.break_at = break_at
        self.sleep = sleep

    def loss(self, inputs: AdaptationBatch, data_samples: None = None) -> dict[str, Tensor]:
        image = inputs.source_image
        image = image + 0.1 * torch.randn_like(image)  # randomness inside the step
        cross_entropy = nn.functional.cross_entropy
        loss = cross_entropy(self.student(image), inputs.source_label, ignore_index=255)
        with torch.no_grad():
            night_label = self.teacher.model(inputs.night_image).argmax(1)
        mixed = cross_entropy(self.student(inputs.night_image), night_label)
        if self.break_at is not None and self.teacher.steps + 1 >= self.break_at:
            mixed = mixed * float('nan')
        self.bank.images.add_(inputs.source_image[0, :, :1, :1])
        time.sleep(self.sleep)
        self._keep_panel(source_image=image)
        return dict(loss_source=loss, loss_mixed=0.1 * mixed, pseudo_weight=torch.tensor(0.5))

    def after_step(self) -> None:
        self.teacher.follow(self.student)


@DATASETS.register_module()
class ToyDataset(Dataset):
    """Sample number -> a random item that depends on (seed, number) alone.

    Args:
        seed: See above.
        size: Side of the images.
        broken: Reading this sample is an error.
    """

    metainfo = dict(classes=CLASSES, palette=[list(colour) for colour in PALETTE])

    def __init__(self, *, seed: int = 0, size: int = 8, broken: int | None = None) -> None:
        self.seed = seed
        self.size = size
        self.broken = broken

    def __len__(self) -> int:
        return 5

    def __getitem__(self, number: int) -> dict:
        if number == self.broken:
            raise DataError(f'source_{number}.png is cut off: fetch it again')
        rng = np.random.default_rng((self.seed, number))

        def picture() -> Tensor:
            return torch.from_numpy(rng.integers(0, 256, (3, self.size, self.size), np.uint8))

        label = torch.from_numpy(rng.integers(0, 19, (self.size, self.size)).astype(np.uint8))
        return dict(
            source_image=picture(),
            source_label=label,
            night_image=picture(),
            reference_image=picture(),
            has_reference=torch.tensor(True),
            source_file=f'source_{number}.png',
            night_file=f'night_{number}.png',
            reference_file='',
        )
