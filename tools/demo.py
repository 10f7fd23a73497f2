"""Day-to-night adaptation from nothing to a report, on a CPU in minutes: `make demo`.

python tools/demo.py [--seed N] [--out DIR]
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Make data, train, adapt, test, report.')
    parser.add_argument('--seed', type=int, default=0, help='of the data and of the trainings')
    parser.add_argument('--out', default='work_dirs/demo', help='folder of the results')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from dsr_nss.errors import DemoError
    from dsr_nss.studies.demo.demo import run_demo

    try:
        summary = run_demo(args.seed, args.out)
    except DemoError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    for name in ('source_only', 'dsr_nss'):
        print(f'{name:12s} {summary[name]["mIoU"]:5.1f} mIoU at night')
    print(f'report: {args.out}/report.html')
    return 0


if __name__ == '__main__':
    sys.exit(main())
