"""DAFormer (MiT-B5) on Cityscapes alone, from ImageNet weights: no adaptation.

python tools/train.py configs/source_only_daformer_cityscapes.py --amp
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich_half.py',
    '_base_/methods/source_only.py',
    '_base_/models/daformer_mit_b5.py',
]

train_dataloader = dict(dataset=dict(target=None))
model = dict(student=_base_.student)
