"""HRDA on Dark Zurich, the teacher passes night and day apart.

python tools/train.py configs/ablations/teacher_apart_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(teacher=dict(teacher_bn='batch_apart'))
