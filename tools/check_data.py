"""Says whether a config can run here: packages, data sets, pairs, labels, weight files.

python tools/check_data.py                                  # what is there of the published sets
python tools/check_data.py configs/dsr_hrda_darkzurich.py   # exit code 1 if it could not run
"""

import argparse
import sys
from pathlib import Path

import dsr_nss.studies.refinement.true_flow  # noqa: F401  registers the aligner TrueFlow
from dsr_nss.inspection.doctor import check_data


def main() -> int:
    """Runs the command line; the exit code is 1 if there are problems."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, nargs='?', help='a training config')
    parser.add_argument('--data-root', type=Path, default=Path('data'), help='without a config')
    parser.add_argument(
        '--all', action='store_true', help='open every file of the sets, not some of each'
    )
    args = parser.parse_args()
    report = check_data(args.config, args.data_root, args.all)
    print('\n'.join(report.lines))
    if report.problems:
        print(f'\n{len(report.problems)} problem(s):')
        print('\n'.join(f'  {problem}' for problem in report.problems))
        return 1
    print('\nNo problems found.')
    return 0


if __name__ == '__main__':
    sys.exit(main())
