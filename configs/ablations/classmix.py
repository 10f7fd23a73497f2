"""Self-training with ClassMix (DACS): half of the classes, no day reference, bank or prototypes.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/classmix.py
"""

model = dict(mixup=dict(always_classes=()), refinement=None, bank=None, alignment=None)
if 'adapt_to_reference' in _base_.model:
    model['adapt_to_reference'] = 0.0
