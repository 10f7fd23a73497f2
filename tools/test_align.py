"""Measures an aligner on image pairs whose flow is known: AEPE, PCK, sparsification.

    python tools/test_align.py configs/align/uawarpc_nightscape.py CKPT --data nightscape --out DIR
    python tools/test_align.py --aligner homography --data nightscape
    python tools/test_align.py CONFIG CKPT --data megadepth|robotcar|PAIRS.csv [--json FILE]

CONFIG is a training of dense matching, or an adaptation with an aligner of its own.
docs/alignment.md describes the sets and the numbers.
"""

import argparse
import sys
from pathlib import Path

#: Aligners that need no weights file, and sets of pairs.
BASELINES = ('homography', 'identity', 'xfeat')
NAMES = ('nightscape', 'megadepth', 'robotcar')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Measure an aligner on image pairs whose flow is known.'
    )
    parser.add_argument('config', nargs='?', help='of the matching network or the adaptation')
    parser.add_argument('checkpoint', nargs='?', help='weights of the aligner')
    parser.add_argument('--aligner', choices=BASELINES, help='instead of a config')
    parser.add_argument(
        '--data', default='nightscape', help=f'{", ".join(NAMES)}, or a CSV file of pairs'
    )
    parser.add_argument('--data-root', metavar='DIR', help='root of the set')
    parser.add_argument('--limit', type=int, metavar='N', help='the first N pairs only')
    parser.add_argument('--json', metavar='FILE', help='write the numbers as one flat object')
    parser.add_argument('--out', metavar='DIR', help='draw the curve and some pairs')
    parser.add_argument('--pictures', type=int, default=6, metavar='N', help='how many pairs')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU if there is one)')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if (args.config is None) == (args.aligner is None):
        parser.error('name either a CONFIG (and CKPT) or --aligner')
    if args.limit is not None and args.limit < 1:
        parser.error('--limit must be at least 1')
    if args.pictures < 0:
        parser.error('--pictures must be at least 0')
    return args


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.devices import default_device, usable_device
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.files import make_folder, require_writable, write_json
    from dsr_nss.inference.load import read_model_config
    from dsr_nss.matching.evaluate import Match, build_aligner, build_baseline, measure_alignment
    from dsr_nss.matching.report import format_alignment, write_pair, write_sparsification

    try:
        device = usable_device(args.device or default_device())
        if args.aligner is not None:
            aligner = build_baseline(args.aligner, device)
        else:
            config = read_model_config(args.config)
            aligner = build_aligner(config, args.checkpoint, device)
        folder = make_folder(args.out) if args.out else None
        if args.json:
            require_writable(args.json)  # now, not after all the work

        def draw(match: Match) -> None:
            if folder is not None:
                write_pair(folder, match)

        report = measure_alignment(
            aligner,
            args.data,
            args.data_root,
            limit=args.limit,
            watch=draw,
            watched=args.pictures if folder is not None else 0,
            device=device,
        )
        name = args.aligner or Path(args.config).stem
        kind = type(aligner).__name__
        print(format_alignment(report, f'{name} ({kind})', args.data))
        if folder is not None:
            write_sparsification(folder, report)
            print(f'pictures: {folder}')
        if args.json:
            write_json(
                args.json, {'aligner': kind, 'name': name, 'data': args.data, **report.flat()}
            )
            print(f'numbers: {args.json}')
    except EXPLAINED as error:
        return explain(error, args.debug)
    return 0


if __name__ == '__main__':
    sys.exit(main())
