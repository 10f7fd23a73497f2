"""DSR-NSS with masked consistency on HRDA (MiT-B5), Cityscapes to Dark Zurich.

    python tools/train.py configs/dsr_mic_hrda_darkzurich.py --amp

The paper's run and, beside it, MIC's loss in its variant for night images.

One step: 22.6 TFLOP; with --amp 19.0 GiB (estimated: docs/cards.md).
Not yet measured here.
"""

_base_ = 'dsr_hrda_darkzurich.py'

model = dict(masking=dict(type='MaskedConsistency', variant='half'))
