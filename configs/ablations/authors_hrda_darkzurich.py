"""HRDA on Dark Zurich with the step of the authors' code where it differs from the paper.

    python tools/train.py configs/ablations/authors_hrda_darkzurich.py --amp

docs/method.md lists the differences. Their prototype loss is about a third of the paper's.
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/published.py',
    '../_base_/datasets/cityscapes_to_darkzurich.py',
    '../_base_/methods/authors_published.py',
    '../_base_/models/hrda_mit_b5.py',
]

model = dict(student=_base_.student)
