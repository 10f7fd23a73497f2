"""The teacher normalises with running statistics.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/teacher_running.py
"""

model = dict(teacher=dict(teacher_bn='running'))
