"""Imports mmseg without what it prints: importing `dsr_nss` says nothing.

mmcv warns that its compiled `ops` are missing (nothing here needs them) and mmseg prints a
notice about an optional cloud service.
"""

import contextlib
import io
import warnings

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.simplefilter('ignore')
    import mmseg.datasets
    import mmseg.engine
    import mmseg.evaluation
    import mmseg.models
    import mmseg.visualization  # noqa: F401

# mmseg repeats it for every head; the losses here state how ignored pixels count
warnings.filterwarnings('ignore', message='Default ``avg_non_ignore``')
# two classes have two outputs here, and a config with one is refused
warnings.filterwarnings('ignore', message='For binary segmentation, we suggest')
