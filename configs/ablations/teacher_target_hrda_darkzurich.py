"""HRDA on Dark Zurich, the teacher keeps statistics of its own passes.

python tools/train.py configs/ablations/teacher_target_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(teacher=dict(teacher_bn='target'))
