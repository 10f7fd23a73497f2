"""The paper's tables: trains and tests their rows and writes them side by side.

    python tools/reproduce.py --data nightscape --table 3 4 --seeds 0 1 2 --jobs 2
    python tools/reproduce.py --list
    python tools/reproduce.py --rows-file my_rows.py --data nightscape
    python tools/reproduce.py --table 1 --dry-run

What is done is not done again; what was cut off goes on. Everything runs through `tools/train.py`
and `tools/test.py`, and the tables go to work_dirs/reproduce/table<N>.{md,csv,tex,json,png}
(work_dirs/reproduce/<data>/ for other data than the real sets; <file>.* for --rows-file).
"""

import argparse
import sys
from pathlib import Path

from shared_options import add_table_options, parse_table_options

TABLES = ('1', '2', '3', '4', '5', '6', 'choices', 'vfm')
DATA = ('real', 'nightscape', 'camvid')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train, test and print the paper's tables.", allow_abbrev=False
    )
    parser.add_argument(
        '--table',
        nargs='+',
        choices=TABLES,
        help="the paper's tables I to VI, `choices`: what it leaves open, `vfm`: foundation "
        'encoders (default: 1 to 6)',
    )
    parser.add_argument(
        '--rows-file',
        type=Path,
        metavar='FILE',
        help="a table of one's own: a Python file with `rows` (docs/architecture.md)",
    )
    parser.add_argument('--data', choices=DATA, default='real', help='default: real')
    parser.add_argument(
        '--rows',
        nargs='+',
        metavar='ROW',
        help='names of rows as --list has them, or their numbers in each table, from 1',
    )
    parser.add_argument(
        '--docs',
        type=Path,
        metavar='FILE',
        help='put the tables into FILE, between <!-- table3 nightscape begin --> and ... end -->; '
        'with `main begin` and `main end` the means of each',
    )
    parser.add_argument('--list', action='store_true', help='print `table row command` and end')
    add_table_options(parser, out='work_dirs/reproduce')
    return parse_table_options(parser)


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.studies.tables.own_tables import own_table
    from dsr_nss.studies.tables.reproduce import listing, reproduce, train_lines
    from dsr_nss.studies.tables.rows import NUMERALS, table, tables_on
    from dsr_nss.studies.tables.runs import Settings

    settings = Settings(args.data, Path(args.out), args.max_iters, args.amp)
    try:
        names = args.table or [name for name in tables_on(args.data) if name in NUMERALS]
        own = [] if args.rows_file is None else [own_table(args.rows_file, args.data)]
        papers = [] if own and not args.table else dict.fromkeys(names)
        tables = [*(table(name, args.data) for name in papers), *own]
        tables = [one.with_batch_norms(args.batch_norms) for one in tables]
        if args.list:
            lines = listing(tables, args.rows)
        elif args.dry_run:
            lines = train_lines(tables, args.rows, args.seeds, settings)
        else:
            return reproduce(
                tables,
                settings,
                rows=args.rows,
                seeds=args.seeds,
                jobs=args.jobs,
                docs=args.docs,
            )
        for line in lines:
            print(line)
    except EXPLAINED as error:
        return explain(error, args.debug)
    return 0


if __name__ == '__main__':
    sys.exit(main())
