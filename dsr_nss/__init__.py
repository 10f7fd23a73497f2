"""dsr_nss: unsupervised domain adaptation for nighttime semantic segmentation.

Importing the package registers its modules in mmseg's registries; `load` makes a checkpoint
predict.
"""

import sys
from pathlib import Path

from dsr_nss.version import __version__


def _is_looking_for_the_command() -> bool:
    """Whether `dsr-nss` or `python -m dsr_nss` has just been started.

    They parse first; the tool that they run then imports the package anew (`commands.py`).
    """
    program = Path(sys.argv[0]).name if sys.argv else ''
    # `-m` stands for the program until the module is found
    asked = program == '-m' and sys.orig_argv[-len(sys.argv)] == 'dsr_nss'
    return asked or program == 'dsr-nss'


if not _is_looking_for_the_command():
    from dsr_nss import _quiet  # noqa: F401  isort: skip  (first: it silences mmseg's import)
    from dsr_nss import datasets, engine, evaluation, matching, models, visualization
    from dsr_nss.inference.predictor import Prediction, Predictor, load

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
