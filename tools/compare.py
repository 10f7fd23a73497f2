"""Trains configs, or takes runs that are there, and prints their scores side by side.

    python tools/compare.py my_config.py other_config.py --seeds 0 1 2
    python tools/compare.py configs/demo/dsr_hrda_nightscape.py +no_bank +no_fpa+model.alpha=0.5
    python tools/compare.py work_dirs/before work_dirs/after --batch-norms plain adabn precise

A row is a config, a config plus what differs, or the folder of a run. `+no_bank` is the last config
with the overlay configs/ablations/no_bank.py, `+my_overlay.py` with one of your own,
`+KEY=VALUE` with a field of its own (`++KEY=VALUE`: one that the config does not state).
Differences are from the first row, paired by seed. What is done is not done again, what was cut off
goes on, and the table is written to DIR/comparison.{md,csv,tex,json,png}. Runs that are there are
only tested; scores go into their folders.
"""

import argparse
import sys
from pathlib import Path

from shared_options import (
    add_config_options,
    add_overlay_option,
    add_table_options,
    parse_table_options,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train, test and compare any configs and runs.', allow_abbrev=False
    )
    parser.add_argument(
        'rows',
        nargs='+',
        metavar='ROW',
        help='CONFIG, CONFIG+OVERLAY+KEY=VALUE..., +OVERLAY... of the config before it, or the '
        'folder of a run (folders that differ in the seed alone, and in a number at the end of '
        'their names, are one row)',
    )
    add_overlay_option(parser)
    add_config_options(parser, 'change fields of every config')
    parser.add_argument(
        '--dataset',
        metavar='NAME[,NAME...]',
        help="sets of the configs' test_sets (default: the first config's default_test_sets)",
    )
    parser.add_argument('--name', default='comparison', help='of the table (default: comparison)')
    add_table_options(parser, out='work_dirs/compare')
    return parse_table_options(parser)


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED, ConfigError
    from dsr_nss.studies.tables.own_tables import compared_table
    from dsr_nss.studies.tables.reproduce import reproduce, train_lines
    from dsr_nss.studies.tables.runs import Settings

    settings = Settings('', Path(args.out), args.max_iters, args.amp)
    try:
        table = compared_table(
            args.rows,
            overlays=args.overlays,
            options=args.cfg_options,
            test_sets=args.dataset.split(',') if args.dataset else (),
            name=args.name,
        ).with_batch_norms(args.batch_norms)
        if all(row.folders for row in table.rows) and (args.seeds or args.max_iters or args.amp):
            raise ConfigError(
                '--seeds, --max-iters and --amp are of trainings; runs stay as they are'
            )
        if not args.dry_run:
            return reproduce([table], settings, seeds=args.seeds, jobs=args.jobs)
        for line in train_lines([table], None, args.seeds, settings):
            print(line)
    except EXPLAINED as error:
        return explain(error, args.debug)
    return 0


if __name__ == '__main__':
    sys.exit(main())
