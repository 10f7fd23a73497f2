"""The day reference as it is, with half of the say everywhere.

python tools/train.py configs/protocol/dsr_from_source_nightscape.py --with configs/ablations/aligner_identity.py
"""

model = dict(refinement=dict(aligner=dict(_delete_=True, type='Identity')))
