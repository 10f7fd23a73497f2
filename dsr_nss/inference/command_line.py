"""Options that several tools share, so that they mean the same everywhere."""

import argparse

from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.inference.load import PREFIXES


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Which network of a checkpoint predicts, and how: `--model`, `--tta`, `--amp`, `--compile`."""
    parser.add_argument('--model', choices=list(PREFIXES), default='student')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average the probabilities at scales 0.75, 1 and 1.25, each also mirrored',
    )
    parser.add_argument(
        '--amp', choices=sorted(AMP_TYPES), help='run the network in this precision'
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the network: slow at the start, once for each size of image or window',
    )
