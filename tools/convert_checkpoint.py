"""Converts published checkpoints to ours, and ours to plain mmseg ones.

    python tools/convert_checkpoint.py refign_hrda_star_acdc.ckpt hrda.pth --config-out hrda.py
    python tools/convert_checkpoint.py work_dirs/RUN/iter_40000.pth student.pth --as mmseg \
        --config-out student.py
    python tools/convert_checkpoint.py work_dirs/RUN/iter_40000.pth FOLDER --hub \
        --licence TEXT --data TEXT --scores scores.json
    python tools/convert_checkpoint.py FILE --inspect

Nothing in the file is executed. Exit status: 0 complete, 1 incomplete (nothing is written without
--partial), 2 not readable or not known. docs/checkpoints.md lists the public files.
"""

import argparse
import sys
from pathlib import Path

from shared_options import NETWORKS

LAYOUT_NAMES = (
    'vfm-uda-plusplus', 'vfm-uda', 'dsrnss', 'refign', 'segformer', 'hrda', 'mic', 'daformer',
    'mmseg', 'transformers', 'dinov3', 'dinov2', 'timm', 'uawarpc', 'torchvision',
)  # fmt: skip


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert published checkpoints to ours, and ours to plain mmseg ones.'
    )
    parser.add_argument('source', metavar='SRC', help='the file to convert')
    parser.add_argument(
        'destination',
        metavar='DST',
        nargs='?',
        help='the checkpoint to write: a torch file, or safetensors for a name in .safetensors',
    )
    parser.add_argument(
        '--as',
        dest='layout',
        choices=('auto', *LAYOUT_NAMES),
        default='auto',
        help='insist on a layout (default: told from the names in the file); mmseg takes every '
        'segmentor, our own runs too, and writes a plain mmseg checkpoint and config',
    )
    parser.add_argument('--model', choices=NETWORKS, default='student')
    parser.add_argument('--config-out', metavar='CFG', help='write the config of the network too')
    parser.add_argument(
        '--config',
        metavar='CFG',
        help='convert for the network of this config, not for the one that the file tells',
    )
    parser.add_argument(
        '--partial',
        action='store_true',
        help='write an incomplete network too, with what is missing at random',
    )
    parser.add_argument(
        '--half', action='store_true', help='write float16, half the size; it is read as float32'
    )
    parser.add_argument(
        '--hub',
        action='store_true',
        help='DST is a folder for a model hub: model.safetensors, config.py and a card',
    )
    parser.add_argument('--licence', metavar='TEXT', help='for the card: licence of the weights')
    parser.add_argument('--data', metavar='TEXT', help='for the card: the training data')
    parser.add_argument('--protocol', metavar='TEXT', help='for the card: training and testing')
    parser.add_argument(
        '--scores', nargs='+', default=[], metavar='JSON', help='for the card: of test --json'
    )
    parser.add_argument('--inspect', action='store_true', help='only print what the file holds')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if args.destination is None and not args.inspect:
        parser.error('name the checkpoint to write (DST), or --inspect')
    if args.hub and (args.partial or args.config_out):
        parser.error(
            '--hub writes whole networks and their config: leave out --partial, --config-out'
        )
    if not args.hub and (args.licence or args.data or args.protocol or args.scores):
        parser.error('--licence, --data, --protocol and --scores need --hub')
    return args


def main() -> int:
    args = parse_args()
    from dsr_nss.conversion.convert import convert_checkpoint
    from dsr_nss.conversion.hub import write_hub_folder
    from dsr_nss.conversion.report import describe_conversion, inspect_checkpoint
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED

    try:
        if args.inspect:
            print(inspect_checkpoint(args.source, args.layout))
            return 0
        common = dict(layout=args.layout, network=args.model, config=args.config, half=args.half)
        if args.hub:
            card = dict(licence=args.licence, data=args.data, protocol=args.protocol)
            result = write_hub_folder(
                args.source, args.destination, **common, **card, scores=args.scores
            )
        else:
            result = convert_checkpoint(
                args.source,
                args.destination,
                **common,
                partial=args.partial,
                config_out=args.config_out,
            )
    except EXPLAINED as error:
        return explain(error, args.debug)
    print(describe_conversion(result))
    if args.hub and result.written:
        print(f'card: {Path(args.destination) / "README.md"}')
    return 0 if result.written else 1


if __name__ == '__main__':
    sys.exit(main())
