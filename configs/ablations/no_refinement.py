"""Without the day reference: the target is the night image, its pseudo-label its own.

python tools/train.py configs/protocol/dsr_from_source_nightscape.py --with configs/ablations/no_refinement.py
"""

model = dict(refinement=None)
if 'adapt_to_reference' in _base_.model:
    model['adapt_to_reference'] = 0.0
