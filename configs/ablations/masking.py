"""With masked consistency (MIC), half of the images of it from the source.

    python tools/train.py configs/protocol/dsr_from_source_nightscape.py --with configs/ablations/masking.py

Blocks of 32 pixels are those of MIC's small crops; in crops of 1024 it has 64
(configs/dsr_mic_hrda_darkzurich.py).
"""

model = dict(masking=dict(type='MaskedConsistency', variant='half', unit='block', block=32))
