# Self-training with ClassMix (DACS): half of the source classes, no day reference, bank or alignment.
_base_ = 'dsr_nss.py'

model = dict(mixup=dict(always_classes=()), refinement=None, bank=None, alignment=None)
