"""Nightscape, the teacher normalises with running statistics.

python tools/train.py configs/ablations/nightscape/teacher_running_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(teacher=dict(teacher_bn='running'))
