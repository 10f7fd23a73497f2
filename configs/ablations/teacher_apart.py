"""The teacher passes night and day apart.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/teacher_apart.py
"""

model = dict(teacher=dict(teacher_bn='batch_apart'))
