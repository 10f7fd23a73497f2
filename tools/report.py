"""Writes the report of trainings, side by side on one page that needs nothing else.

python tools/report.py work_dirs/dsr_hrda_darkzurich                # report.html in that folder
python tools/report.py work_dirs/a work_dirs/b --out comparison.html
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'runs',
        metavar='RUN',
        nargs='+',
        help='work dir of a training, or a folder of tools/test.py --report',
    )
    parser.add_argument(
        '--out', metavar='HTML', help='the page (default, of a single run: RUN/report.html)'
    )
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if len(args.runs) > 1 and not args.out:
        parser.error('name the page of several runs with --out')
    return args


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.evaluation.run_report import write_run_report

    try:
        print(f'report: {write_run_report(args.runs, args.out)}')
    except EXPLAINED as error:
        return explain(error, args.debug)
    return 0


if __name__ == '__main__':
    sys.exit(main())
