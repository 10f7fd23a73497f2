"""Tests a checkpoint on one or several sets.

    python tools/test.py CONFIG CHECKPOINT [--dataset dark_zurich_val,acdc_night_val] [--json FILE]
    python tools/test.py CONFIG CHECKPOINT --images DIR [--labels DIR] --out DIR

Prints IoU by class and group and both means; `--out` also writes the predictions.
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

from dsr_nss.apis import evaluate, read_model_config
from dsr_nss.apis.files import make_folder, write_json
from dsr_nss.checkpoints.safe_load import CheckpointError
from dsr_nss.datasets.errors import DataError
from dsr_nss.engine.errors import ConfigError
from dsr_nss.engine.launch import short_message
from dsr_nss.evaluation.table import format_table, set_names

#: Errors whose message says what to do; of all others the traceback is shown.
EXPLAINED = (FileNotFoundError, DataError, ConfigError, CheckpointError)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a checkpoint on one or several sets.')
    parser.add_argument('config', help='config file of the run, or any mmseg config')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument(
        '--dataset',
        metavar='NAME[,NAME...]',
        help="sets of the config's test_sets (default: its default_test_sets)",
    )
    parser.add_argument('--images', metavar='DIR', help='predict a folder of images')
    parser.add_argument(
        '--labels', metavar='DIR', help='label PNGs of --images with the same stems: score them'
    )
    parser.add_argument('--out', metavar='DIR', help='write predictions as PNGs')
    parser.add_argument('--json', metavar='FILE', help='write the scores as one flat JSON object')
    parser.add_argument('--model', choices=['student', 'teacher'], default='student')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average the probabilities at scales 0.75, 1 and 1.25, each also mirrored',
    )
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU if there is one)')
    parser.add_argument('--workers', type=int, default=2, help='processes that load images')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='change the config'
    )
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if args.labels and not args.images:
        parser.error('--labels needs --images')
    if args.workers < 0:
        parser.error(f'--workers must be >= 0, got {args.workers}')
    return args


def main() -> int:
    args = parse_args()
    try:
        for folder in (args.out, args.json and Path(args.json).parent):
            if folder:
                make_folder(folder)  # now, not after an hour of predicting
        results = evaluate(
            read_model_config(args.config, args.cfg_options),
            args.checkpoint,
            names=args.dataset.split(',') if args.dataset else None,
            images=args.images,
            labels=args.labels,
            which=args.model,
            out=args.out,
            tta=args.tta,
            device=args.device,
            workers=args.workers,
        )
    except EXPLAINED as error:
        if args.debug:
            raise
        print(f'error: {short_message(error)}', file=sys.stderr)
        return 2
    report(results, args)
    return 0


def report(results: dict, args: argparse.Namespace) -> None:
    """Say what came out and where it is."""
    tta = ', test-time augmentation' if args.tta else ''
    print(f'{args.model} of {args.checkpoint}{tta}')
    if set_names(results):
        print(format_table(results))
    for key, images in results.items():
        if key.endswith('/images'):
            print(f'{key[:-7]}: {images} images, {results[f"{key}_per_second"]:.2f} images/s')
    if args.out:
        print(f'predictions: {args.out}')
    if args.json:
        print(f'scores: {write_json(args.json, results)}')


if __name__ == '__main__':
    sys.exit(main())
