"""The teacher keeps statistics of its own passes.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/teacher_target.py
"""

model = dict(teacher=dict(teacher_bn='target'))
