"""Checks an archive before it goes to a test server.

    python tools/check_submission.py ZIP [--kind dark_zurich|acdc|cityscapes] [--images DIR ...]

Looks at names, number, size, bit depth, channels and class ids of every file, without unpacking
anything. Exit code 1 if there are problems (docs/submission.md).
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from shared_options import SERVERS

if TYPE_CHECKING:
    from dsr_nss.evaluation.submission_check import SubmissionCheck

#: Problems of a kind that are printed; the others are counted.
SHOWN = 5


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Check an archive for a test server.')
    parser.add_argument('archive', metavar='ZIP', type=Path)
    parser.add_argument('--kind', choices=SERVERS, help='the server (default: told from the names)')
    parser.add_argument(
        '--images',
        metavar='DIR',
        action='append',
        type=Path,
        help='folder of the test images, e.g. data/dark_zurich/rgb_anon/test/night, once for each '
        'condition of ACDC: names and sizes must be theirs (default: names of the right form, '
        'number and size as published)',
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.evaluation.submission_check import check_submission

    try:
        check = check_submission(args.archive, args.kind, images=args.images)
    except EXPLAINED as error:
        return explain(error)
    title = f' for {check.format.title}' if check.format else ''
    if check.problems:
        print(f'{args.archive}{title}: {len(check.problems)} problem(s)')
        print_problems(check)
        return 1
    megabytes = args.archive.stat().st_size / 1e6
    form = '; names checked by their form, --images compares them' if check.by_form else ''
    print(f'{args.archive}{title}: OK, {check.images} images, {megabytes:.1f} MB{form}')
    return 0


def print_problems(check: 'SubmissionCheck') -> None:
    """By kind, so that many of one kind do not hide another."""
    kinds = defaultdict(list)
    for problem in check.problems:
        kinds[problem.what].append(problem.text)
    for what, texts in kinds.items():
        for text in texts[:SHOWN]:
            print(f'  {what}: {text}')
        if len(texts) > SHOWN:
            print(f'  {what}: ... and {len(texts) - SHOWN} more')


if __name__ == '__main__':
    sys.exit(main())
