"""Nightscape, the teacher passes night and day apart.

python tools/train.py configs/ablations/nightscape/teacher_apart_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(teacher=dict(teacher_bn='batch_apart'))
