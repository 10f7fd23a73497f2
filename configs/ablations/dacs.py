"""The self-training of DACS, DAFormer and HRDA as published, without day references.

    python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/dacs.py \
        configs/ablations/linear_decay.py

As `classmix.py`, and ignored pixels can be pasted and jitter and blur are decided per batch.
"""

model = dict(
    mixup=dict(always_classes=(), draw_ignore=True),
    augmentation=dict(decide='batch'),
    refinement=None,
    bank=None,
    alignment=None,
)
if 'adapt_to_reference' in _base_.model:
    model['adapt_to_reference'] = 0.0
