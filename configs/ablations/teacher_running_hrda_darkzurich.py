"""HRDA on Dark Zurich, the teacher normalises with running statistics.

python tools/train.py configs/ablations/teacher_running_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(teacher=dict(teacher_bn='running'))
