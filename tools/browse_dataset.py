"""Shows what the pipeline really feeds: pictures of training items or of a test set.

python tools/browse_dataset.py CONFIG [--with OVERLAY ...] [--split train|<test set>] [--num 20]
                               [--out DIR]
"""

import argparse
import sys

from shared_options import add_config_options, add_overlay_option

#: The split of the training items; others are test sets.
TRAIN = 'train'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Show what the pipeline really feeds.')
    parser.add_argument('config', help='config file')
    add_overlay_option(parser)
    parser.add_argument('--split', default=TRAIN, help="'train' or the name of a test set")
    parser.add_argument('--num', type=int, default=20, help='how many items (default: 20)')
    parser.add_argument(
        '--out',
        default='work_dirs/browse',
        help='folder of the pictures (default: work_dirs/browse)',
    )
    add_config_options(parser)
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num must be >= 1, got {args.num}')
    return args


def main() -> int:
    args = parse_args()
    from mmseg.utils import register_all_modules

    from dsr_nss.engine.config import read_config
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.inspection.browse import browse, class_shares

    try:
        config = read_config(args.config, args.cfg_options, overlays=args.overlays)
        register_all_modules(init_default_scope=True)
        for path in browse(config, args.split, args.num, args.out):
            print(path)
        if args.split == TRAIN and (shares := class_shares(config, args.num)):
            print(f'classes in the source crops of {args.num} items, % of the pixels:')
            for name, share in shares.items():
                print(f'  {name:14s} {share:6.2f}')
    except EXPLAINED as error:
        return explain(error)
    return 0


if __name__ == '__main__':
    sys.exit(main())
