"""DSR-NSS on HRDA (MiT-B5), Cityscapes to Dark Zurich: the paper's main run (table I, last row).

    python tools/train.py configs/dsr_hrda_darkzurich.py --amp
    python tools/test.py configs/dsr_hrda_darkzurich.py work_dirs/dsr_hrda_darkzurich/iter_40000.pth

Start: SegFormer-B5 weights trained on Cityscapes, as Refign's and the authors' HRDA configs do; from
ImageNet weights see `dsr_hrda_darkzurich_imagenet.py`. The paper reports 65.2 mIoU on Dark Zurich
test (the paper's number, with a dense matching network as aligner); not yet measured here.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich.py',
    '_base_/methods/dsr_nss_feature_distance.py',
    '_base_/models/hrda_mit_b5.py',
]

model = dict(
    student=_base_.student,
    teacher=dict(momentum=0.999),  # lambda [7]
    alpha=1.0,  # [15]
    beta=0.1,
)
