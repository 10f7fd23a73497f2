"""Scores predictions that exist as PNG files; no model is needed.

    python tools/score.py PRED_DIR GT_DIR [--classes NAME,NAME,...|CONFIG] [--json FILE]

Both folders hold PNGs of train ids, at any depth. They pair by relative path or by stem; suffixes
such as _leftImg8bit, _rgb_anon and _gtFine_labelTrainIds may differ.
"""

import argparse
import sys
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Score predictions that exist as PNG files.')
    parser.add_argument('predictions', metavar='PRED_DIR', help='folder of predicted train ids')
    parser.add_argument('labels', metavar='GT_DIR', help='folder of labels (train ids)')
    parser.add_argument(
        '--classes',
        metavar='NAMES',
        help='names with commas between them, or a config with classes (default: Cityscapes)',
    )
    parser.add_argument(
        '--against',
        metavar='DIR',
        help='predictions that are subtracted, with a bootstrap over the images',
    )
    parser.add_argument('--json', metavar='FILE', help='write the scores as one flat JSON object')
    parser.add_argument('--workers', type=int, help='processes (default: one a core)')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if args.workers is not None and args.workers < 1:
        parser.error(f'--workers must be >= 1, got {args.workers}')
    return args


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.evaluation.iou import occurrence_note
    from dsr_nss.evaluation.score import read_classes, score, score_against
    from dsr_nss.evaluation.table import format_table
    from dsr_nss.files import require_writable, write_json

    try:
        if args.json:
            require_writable(args.json)
        classes = read_classes(args.classes) if args.classes else {}
        results = score(args.predictions, args.labels, workers=args.workers, **classes)
        compared = (args.predictions, args.against, args.labels)
        differences = (
            score_against(*compared, workers=args.workers, **classes) if args.against else {}
        )
    except EXPLAINED as error:
        return explain(error, args.debug)
    title = Path(args.predictions).resolve().name
    print(format_table({f'{title}/{key}': value for key, value in results.items()}))
    print(f'{results["images"]} images')
    note = occurrence_note(results)
    if note is not None:
        print(note)
    if results['no_prediction']:
        print(
            f'nothing is predicted (255) for {results["no_prediction"]:.3g} % of the labelled '
            'pixels; they count as missed'
        )
    for key, value in differences.items():
        kind, _, name = key.partition('/')
        if kind == 'difference':
            low, high, error = (
                differences[f'difference_{end}/{name}'] for end in ('low', 'high', 'error')
            )
            print(f'{name}: {value:+.2f} +- {error:.2f}, 95 % of draws {low:+.2f} to {high:+.2f}')
    if args.json:
        print(f'scores: {write_json(args.json, results | differences)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
