"""Nightscape, the teacher keeps statistics of its own passes.

python tools/train.py configs/ablations/nightscape/teacher_target_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(teacher=dict(teacher_bn='target'))
