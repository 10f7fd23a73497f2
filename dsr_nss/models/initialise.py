"""Start weights without a line of the log for every parameter."""

import logging

from mmengine.logging import MMLogger
from mmengine.model import BaseModule


def initialise_quietly(module: BaseModule) -> None:
    """Its `init_weights()`, without the lines that mmengine writes for every parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        module.init_weights()
    finally:
        logger.setLevel(level)
