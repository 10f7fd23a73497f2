"""A tiny student and a batch, small enough to train in a test."""

import pytest
import torch
from mmseg.registry import MODELS

from dsr_nss.classes import CLASSES, GROUPS

SIZE = (64, 64)

HEAD = dict(
    type='DAFormerHead',
    in_channels=[32, 64, 160, 256],
    channels=16,
    embed_channels=16,
    num_classes=19,
    dropout_ratio=0.1,
)
STUDENT = dict(
    type='HRDAEncoderDecoder',
    backbone=dict(type='MiT', arch='b0'),
    decode_head=dict(
        type='HRDAHead', head=HEAD, scale_attention=dict(HEAD, fusion='conv1x1'), detail_stride=1.0
    ),
)
PREPROCESSOR = dict(type='AdaptationPreprocessor')


def dsr_config(**overrides) -> dict:
    """The whole method at test size; a keyword replaces a part, None removes it."""
    config = dict(
        type='DSRNSS',
        student=STUDENT,
        data_preprocessor=PREPROCESSOR,
        teacher=dict(type='EMATeacher', momentum=0.9),
        refinement=dict(
            type='HolisticRefinement',
            aligner=dict(type='Identity'),
            class_names=CLASSES,
            static_classes=GROUPS['large_static'],
        ),
        mixup=dict(
            type='DSRMixup',
            class_names=CLASSES,
            always_classes=(*GROUPS['small'], *GROUPS['dynamic']),
        ),
        bank=dict(
            type='LongTailMemoryBank',
            class_names=CLASSES,
            long_tail_classes=GROUPS['long_tail'],
            size=SIZE,
            interval=2,
        ),
        augmentation=dict(type='PhotometricAugmentation'),
        alignment=dict(
            type='FPALoss',
            class_names=CLASSES,
            long_tail_classes=GROUPS['long_tail'],
            start=1,
            feature_level=1,
        ),
        feature_distance=dict(
            type='FeatureDistance',
            class_names=CLASSES,
            classes=(*GROUPS['small'][1:], *GROUPS['dynamic']),
        ),
    )
    return {**config, **overrides}


def build(config: dict, seed: int = 0):
    """Build, initialise and put into training mode."""
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.init_weights()
    return model.train()


@pytest.fixture
def items() -> dict:
    """A collated batch of two; the second sample has no day reference."""
    return make_items()


def make_items(seed: int = 0, batch: int = 2) -> dict:
    generator = torch.Generator().manual_seed(seed)

    def image():
        return torch.randint(0, 256, (batch, 3, *SIZE), generator=generator, dtype=torch.uint8)

    blocks = torch.randint(0, 19, (batch, 8, 8), generator=generator)
    label = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    label[:, :4] = 255
    return dict(
        source_image=image(),
        source_label=label.to(torch.uint8),
        night_image=image(),
        reference_image=image(),
        has_reference=torch.tensor([i % 2 == 0 for i in range(batch)]),
        source_file=[f'source_{i}.png' for i in range(batch)],
        night_file=[f'night_{i}.png' for i in range(batch)],
        reference_file=[f'day_{i}.png' for i in range(batch)],
    )
