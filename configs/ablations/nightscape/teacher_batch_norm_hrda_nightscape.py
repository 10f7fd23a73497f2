"""Nightscape, the teacher normalises with the statistics of its batch.

python tools/train.py configs/ablations/nightscape/teacher_batch_norm_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(teacher=dict(teacher_bn='batch'))
