"""The day reference is aligned by one homography (SIFT, RANSAC), where one is found.

python tools/train.py configs/protocol/dsr_from_source_nightscape.py --with configs/ablations/aligner_homography.py
"""

model = dict(refinement=dict(aligner=dict(_delete_=True, type='Homography')))
