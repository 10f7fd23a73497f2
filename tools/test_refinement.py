"""What alignment is worth: the refined pseudo-label of each aligner against nightscape's truth.

    python tools/test_refinement.py configs/demo/dsr_hrda_nightscape.py \
        work_dirs/dsr_hrda_nightscape/iter_600.pth --json worth.json --out worth
    python tools/test_refinement.py CONFIG CHECKPOINT --aligner identity --aligner true_flow \
        --aligner uawarpc=work_dirs/uawarpc_nightscape/iter_1400.pth \
        --align-config configs/align/uawarpc_nightscape.py

The night prediction alone is always measured. docs/alignment.md explains the figures.
"""

import argparse
import sys

from shared_options import NETWORKS, add_config_options

ALIGNERS = (
    'none', 'identity', 'static_agreement', 'homography', 'xfeat', 'uawarpc', 'true_flow',
    'true_flow_uninformed',
)  # fmt: skip
DEFAULT_ALIGNERS = ('identity', 'homography', 'true_flow')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="The refined pseudo-label of each aligner against nightscape's truth."
    )
    parser.add_argument('config', help='config of an adaptation with a refinement')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('--data-root', default='data/nightscape', help='the nightscape')
    parser.add_argument('--model', choices=NETWORKS, default='teacher')
    parser.add_argument(
        '--aligner',
        action='append',
        metavar='NAME[=WEIGHTS]',
        help=f'{", ".join(ALIGNERS)}; several are given one by one; uawarpc needs its '
        f'weights (default: {", ".join(DEFAULT_ALIGNERS)})',
    )
    parser.add_argument(
        '--align-config',
        metavar='CONFIG',
        help='config that the weights were trained with (default: VGG-16, as published weights)',
    )
    parser.add_argument(
        '--whole', action='store_true', help="whole images instead of crops of the config's size"
    )
    parser.add_argument('--limit', type=int, metavar='N', help='the first N pairs only')
    parser.add_argument('--json', metavar='FILE', help='write the scores as one flat JSON object')
    parser.add_argument('--out', metavar='DIR', help='write the curves and a picture of each view')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU if there is one)')
    add_config_options(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if args.limit is not None and args.limit < 1:
        parser.error(f'--limit must be >= 1, got {args.limit}')
    return args


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.files import make_folder, require_writable, write_json
    from dsr_nss.inference.load import read_model_config
    from dsr_nss.studies.refinement.scores import format_worth
    from dsr_nss.studies.refinement.worth import aligner_configs, measure_refinement, write_curves

    try:
        config = read_model_config(args.config, args.cfg_options)
        aligners = aligner_configs(
            args.aligner or DEFAULT_ALIGNERS, args.data_root, args.align_config
        )
        if args.out:
            make_folder(args.out)  # now, not after all the work
        if args.json:
            require_writable(args.json)
        results = measure_refinement(
            config,
            args.checkpoint,
            aligners,
            data_root=args.data_root,
            which=args.model,
            whole=args.whole,
            limit=args.limit,
            out=args.out,
            device=args.device,
        )
        print(f'pseudo-labels of the {args.model} of {args.checkpoint}')
        kind = 'whole images' if args.whole else 'crops as in training'
        print(f'{results["pairs"]} pairs, {results["views"]} views ({kind}); percent\n')
        print(format_worth(results))
        if args.out:
            write_curves(results, args.out)
            print(f'pictures: {args.out}')
        if args.json:
            print(f'scores: {write_json(args.json, results)}')
    except EXPLAINED as error:
        return explain(error, args.debug)
    return 0


if __name__ == '__main__':
    sys.exit(main())
