"""An unaligned day reference speaks only where night and day both see large static classes.

    python tools/train.py configs/demo/dsr_hrda_nightscape.py \
        --with configs/ablations/static_agreement.py

Otherwise an unaligned picture has half of the say on every class, moving and small ones included.
"""

model = dict(refinement=dict(aligner=dict(_delete_=True, type='Identity', confidence=0.0)))
