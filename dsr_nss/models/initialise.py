"""Start weights: which encoders load them unasked, and loading them without pages of log."""

import inspect
import logging
from typing import Any

from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmseg.registry import MODELS


def loads_unasked(kind: Any) -> bool:
    """Whether a registered network loads start weights unless it is told `pretrained=False`.

    Args:
        kind: A registered name or a class; what is neither loads nothing.
    """
    # not MODELS.get: it imports what an unknown name with dots says, and names come from files
    network = MODELS.module_dict.get(kind) if isinstance(kind, str) else kind
    if not inspect.isclass(network):
        return False
    field = inspect.signature(network).parameters.get('pretrained')
    return field is not None and field.default is True


def initialise_quietly(module: BaseModule) -> None:
    """Its `init_weights()`, without the lines that mmengine writes for every parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        module.init_weights()
    finally:
        logger.setLevel(level)
