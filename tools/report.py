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
    parser.add_argument('runs', metavar='RUN', nargs='+', help='work dir of a training')
    parser.add_argument('--out', metavar='HTML', help='the page (default: RUN/report.html)')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    return parser.parse_args()


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
