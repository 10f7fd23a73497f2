"""The recipe of VFM-UDA (DINOv2-B, ClassMix, token masks, no day reference), Cityscapes to Dark Zurich.

    python tools/train.py configs/vfm_uda_dinov2_b_darkzurich.py --amp

Its rate for 8 + 8 images a step (5e-5 times the root of `train_dataloader.batch_size`, over all GPUs), decay of every
parameter, rare-class sampling and size of the night images. It differs from the published code: pseudo-labels
are not averaged over a mirrored image, no margins are left out of them, source and night images get no jitter
before the mix and are not scaled by 0.9 to 1.1, a crop may show one class alone, the loss of the source is a mean
over all pixels, not over the labelled ones, the rate decays from the end of the warm-up on, images are tested at
their own size, and windows are averaged as logits.

One step: 216.1 TFLOP; with --amp 66.3 GiB (estimated: docs/cards.md).
Not yet measured here.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich.py',
    '_base_/methods/classmix_masked.py',
    '_base_/models/dinov2_b.py',
]

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        target_scale=(1024, 1820),  # of 1080x1920
        rare_class_sampling=dict(temperature=0.05, max_tries=20),
    ),
)
optim_wrapper = dict(
    optimizer=dict(lr=5e-5 * 8**0.5),  # with another batch: its root
    paramwise_cfg=dict(decay_all=True),
)
param_scheduler = dict(warmup_ratio=1e-3, power=1.0)
model = dict(
    student=_base_.student,
    mixup=dict(class_pool='batch', draw_ignore=True),
    augmentation=dict(definition='torchvision'),
    masking=dict(variant='target_aug', unit='token'),
)
