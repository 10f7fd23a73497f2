"""dsr_nss: unsupervised domain adaptation for nighttime semantic segmentation.

Importing the package registers its modules in mmseg's registries; `load` makes a checkpoint
predict.
"""

from dsr_nss import _quiet  # noqa: F401  isort: skip  (first: it silences mmseg's import)
from dsr_nss import datasets, engine, evaluation, matching, models, visualization
from dsr_nss.inference.predictor import Prediction, Predictor, load
from dsr_nss.version import __version__

__all__ = [
    'Prediction',
    'Predictor',
    '__version__',
    'datasets',
    'engine',
    'evaluation',
    'load',
    'matching',
    'models',
    'visualization',
]
