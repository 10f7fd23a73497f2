"""The day reference is aligned by nightscape's truth: an oracle, for comparison.

python tools/train.py configs/protocol/dsr_from_source_nightscape.py --with configs/ablations/aligner_true_flow.py
"""

model = dict(refinement=dict(aligner=dict(_delete_=True, type='TrueFlow')))
