"""Refign's training step as its authors publish it, number for number.

    python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/refign.py \
        configs/ablations/linear_decay.py

Half of the steps take the day reference as the target; docs/method.md lists what else differs.
"""

if _base_.model.refinement is None:
    raise ValueError('this step refines by the day reference, and the config has no refinement')

model = dict(
    mixup=dict(always_classes=(), class_pool='batch', draw_ignore=True),
    augmentation=dict(decide='batch'),
    bank=None,
    alignment=None,
    adapt_to_reference=0.5,
)
