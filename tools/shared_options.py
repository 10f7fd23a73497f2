"""Options that several tools share, so that they mean the same everywhere.

The package and what it stands on take many seconds to import, and `--help` or a mistyped option
needs none of it. So a tool imports at its top nothing but the standard library and this module;
its functions import what they use, after the command line is parsed. Choices and defaults that the
package knows stand in the tools once more, and `tests/test_tools.py` compares them.
"""

import argparse
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

#: The networks of a checkpoint.
NETWORKS = ('student', 'teacher')
#: Statistics of batch norms: as trained, anew on target images, anew on source images.
BATCH_NORMS = ('plain', 'adabn', 'precise')
#: Precisions other than float32.
AMP_TYPES = ('bf16', 'fp16')
#: Test servers that take archives.
SERVERS = ('dark_zurich', 'acdc', 'cityscapes')
#: How the files of configs end.
CONFIG_ENDINGS = ('.py', '.json', '.yaml', '.yml')
#: How configs begin that come with the package; so do its weights, which end in `.safetensors`.
CONFIG_PREFIX = 'dsr_nss::'


def print_warnings_plainly() -> None:
    """A warning is a sentence, without the line of code that says it."""
    warnings.formatwarning = lambda message, *_, **__: f'warning: {message}\n'


def add_overlay_option(parser: argparse.ArgumentParser) -> None:
    """What differs from the config: `--with`, as `args.overlays`."""
    parser.add_argument(
        '--with',
        dest='overlays',
        nargs='+',
        action='extend',
        default=[],
        metavar='OVERLAY',
        help='files that say what differs from the config, e.g. configs/ablations/no_bank.py, or '
        'dsr_nss::ablations/no_bank from anywhere; merged in this order, before --cfg-options',
    )


def add_config_options(
    parser: argparse.ArgumentParser,
    help: str = 'change fields of the config; +KEY=VALUE adds one that the config does not state',
) -> None:
    """Fields of the config: `--cfg-options`, texts that the package's readers of configs take."""
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help=help
    )


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Which network of a checkpoint predicts, and how: `--model`, `--tta`, `--amp`, `--compile`."""
    parser.add_argument('--model', choices=NETWORKS, default='student')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average the probabilities at scales 0.75, 1 and 1.25, each also mirrored',
    )
    parser.add_argument('--amp', choices=AMP_TYPES, help='run the network in this precision')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the network: slow at the start, once for each size of image or window',
    )


def add_table_options(parser: argparse.ArgumentParser, out: str) -> None:
    """What tables of many runs have in common; for `parse_table_options`."""
    parser.add_argument(
        '--seeds', nargs='+', type=int, help='default: those of the table, or 0 1 2'
    )
    parser.add_argument(
        '--max-iters',
        type=int,
        metavar='N',
        help='length of each run; warm-up, teacher and intervals are scaled with it',
    )
    parser.add_argument('--amp', nargs='?', const='bf16', choices=AMP_TYPES)
    parser.add_argument(
        '--batch-norms',
        nargs='+',
        choices=BATCH_NORMS,
        default=['plain'],
        help='columns of networks with batch norms: as trained, statistics anew on night images, '
        'or on source images; each is another test of the same checkpoint (default: plain)',
    )
    parser.add_argument('--jobs', type=int, default=1, metavar='J', help='trainings side by side')
    parser.add_argument('--out', default=out, metavar='DIR', help=f'default: {out}')
    parser.add_argument(
        '--dry-run', action='store_true', help='print the command line of each training and end'
    )
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')


def parse_table_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The parsed command line of a tool that makes tables."""
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error(f'--jobs must be >= 1, got {args.jobs}')
    return args


def add_checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """A checkpoint, with a config before it or without; for `parse_checkpoint_arguments`."""
    parser.add_argument(
        'config',
        metavar='CONFIG',
        nargs='?',
        help='config file of the run, dsr_nss::NAME of the package, or any mmseg config (default: '
        'the network that the checkpoint itself describes)',
    )
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', help='checkpoint of a run, or dsr_nss::NAME'
    )


def parse_checkpoint_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The parsed command line `[CONFIG] CHECKPOINT`, or `[CONFIG] CHECKPOINT INPUT...`.

    The first word is a config if it begins or ends as one does; otherwise `config` is None.
    """
    args = parser.parse_intermixed_args()
    takes_inputs = hasattr(args, 'inputs')
    words = [args.config, args.checkpoint, *(args.inputs if takes_inputs else ())]
    words = words[1:] if args.config is None else words
    ours = words[0].startswith(CONFIG_PREFIX) and not words[0].endswith('.safetensors')
    named = ours or words[0].endswith(CONFIG_ENDINGS)
    args.config = words.pop(0) if named else None
    wanted = 'CHECKPOINT INPUT...' if takes_inputs else 'CHECKPOINT'
    if len(words) < (2 if takes_inputs else 1):
        parser.error(f'name {wanted} after the config {args.config}')
    args.checkpoint, *rest = words
    if takes_inputs:
        args.inputs = rest
    elif rest:
        parser.error(f'{args.checkpoint} is no config: it must end in {", ".join(CONFIG_ENDINGS)}')
    return args


def read_network_config(args: argparse.Namespace) -> 'Config | None':
    """The config that was named, or the checkpoint's own; None for an exported network.

    `args.checkpoint` becomes the newest file where it is the folder of a run.
    """
    from dsr_nss.checkpoints.safe_load import load_checkpoint_file
    from dsr_nss.errors import ConfigError
    from dsr_nss.inference.exported import is_exported
    from dsr_nss.inference.load import change_model_config, read_model_config
    from dsr_nss.inference.predictor import newest_checkpoint
    from dsr_nss.inference.saved_network import config_in_file

    args.checkpoint = str(newest_checkpoint(args.checkpoint))
    if is_exported(args.checkpoint):
        if args.config or args.cfg_options:
            raise ConfigError(f'{args.checkpoint} is an exported network, which takes no config')
        return None
    if args.config is not None:
        return read_model_config(args.config, args.cfg_options)
    saved = config_in_file(load_checkpoint_file(args.checkpoint), args.checkpoint)
    return change_model_config(saved, args.cfg_options)
