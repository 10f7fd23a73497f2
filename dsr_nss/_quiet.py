"""Imports mmseg without what it prints, and without transformers.

Importing `dsr_nss` says nothing: mmcv warns that its compiled `ops` are missing (nothing here needs
them) and mmseg prints a notice about an optional cloud service. mmengine imports transformers where
it is installed, as beside peft, for one optimiser: nearly as much work as all else together.
torch's is there as `TorchAdafactor`.
"""

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def _absent(package: str) -> Iterator[None]:
    """A package that is not imported yet cannot be imported meanwhile."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # what Python's import takes for absent
    try:
        yield
    finally:
        del sys.modules[package]


with (
    warnings.catch_warnings(),
    contextlib.redirect_stdout(io.StringIO()),
    _absent('transformers'),
):
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
