# The schedule of the base methods' and the authors' code: linear decay.
_base_ = '../schedule.py'

param_scheduler = dict(power=1.0)
