"""Day-to-night adaptation from nothing to a report, on a CPU in minutes: `make demo`.

    python tools/demo.py [--seed N] [--out DIR]
    python tools/demo.py CHECKPOINT [CHECKPOINT]

The second form opens the page of tools/web.py, and takes its options.
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Make data, train, adapt, test, report; or show checkpoints that are there.'
    )
    parser.add_argument(
        'checkpoints',
        nargs='*',
        metavar='CHECKPOINT',
        help='train nothing; show these in the browser as `tools/web.py` (dsr-nss web) does, with '
        'its options',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the data and of the trainings')
    parser.add_argument('--out', default='work_dirs/demo', help='folder of the results')
    args, others = parser.parse_known_args()
    if others and not args.checkpoints:
        parser.error(f'unrecognized arguments: {" ".join(others)}')
    return args


def main() -> int:
    args = parse_args()
    if args.checkpoints:
        import web  # beside this file

        return web.main()
    from dsr_nss.commands import typed
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
    both = [f'{args.out}/{name}' for name in ('source_only', 'dsr_nss')]
    print('both networks in the browser:', typed(['tools/web.py', *both]))
    return 0


if __name__ == '__main__':
    sys.exit(main())
