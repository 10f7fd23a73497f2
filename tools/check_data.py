"""Says whether a config can run here: packages, data sets, pairs, labels, weight files.

python tools/check_data.py                                  # what is there of the published sets
python tools/check_data.py configs/dsr_hrda_darkzurich.py   # exit code 1 if it could not run
python tools/check_data.py configs/dsr_hrda_darkzurich.py --with configs/ablations/no_bank.py
python tools/check_data.py --report                         # the machine, for a bug report
"""

import argparse
import sys
from pathlib import Path

from shared_options import add_config_options, add_overlay_option


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, nargs='?', help='a training config')
    add_overlay_option(parser)
    parser.add_argument('--data-root', type=Path, help='without a config (default: data)')
    parser.add_argument(
        '--all', action='store_true', help='open every file of the sets, not some of each'
    )
    parser.add_argument(
        '--report',
        action='store_true',
        help='print versions and hardware as text to paste into a bug report; with a config also '
        'what is found of it',
    )
    add_config_options(parser)
    args = parser.parse_args()
    if args.config is None and (args.overlays or args.cfg_options or args.all):
        parser.error('--with, --cfg-options and --all need a config')
    if args.config is not None and args.data_root is not None:
        parser.error('--data-root is for a call without a config, which names its own')
    return args


def main() -> int:
    """Runs the command line; the exit code is 1 if there are problems."""
    args = parse_args()
    import dsr_nss.studies.refinement.true_flow  # noqa: F401  registers the aligner TrueFlow
    from dsr_nss.inspection.doctor import check_data
    from dsr_nss.inspection.machine_report import machine_report

    if args.report:
        print(machine_report())
        if args.config is None:
            return 0
        print()
    report = check_data(
        args.config,
        args.data_root or Path('data'),
        args.cfg_options,
        args.overlays,
        all_files=args.all,
    )
    print('\n'.join(report.lines))
    if report.problems:
        print(f'\n{len(report.problems)} problem(s):')
        print('\n'.join(f'  {problem}' for problem in report.problems))
        return 1
    notes = sum(line.startswith('  note: ') for line in report.lines)
    print('\nNo problems found.' + (f' {notes} note(s) above.' if notes else ''))
    return 0


if __name__ == '__main__':
    sys.exit(main())
