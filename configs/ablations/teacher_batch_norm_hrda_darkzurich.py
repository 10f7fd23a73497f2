"""HRDA on Dark Zurich, the teacher normalises with statistics of the target batch.

python tools/train.py configs/ablations/teacher_batch_norm_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(teacher=dict(teacher_bn='batch'))
