"""Measure how fast things are here, as ratios in one run.

python tools/benchmark.py step configs/dsr_hrda_darkzurich.py --amp bf16 --out work_dirs/benchmark
python tools/benchmark.py step configs/demo/dsr_hrda_nightscape.py --compare configs/demo/OTHER.py
python tools/benchmark.py align configs/dsr_hrda_darkzurich.py --size 1024x1024
python tools/benchmark.py data configs/dsr_hrda_darkzurich.py --stages --cache data/cache
python tools/benchmark.py data configs/dsr_hrda_darkzurich.py --soak 20 --workers 8
python tools/benchmark.py infer configs/dsr_hrda_darkzurich.py --stages
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.config import DictAction
from mmseg.utils import register_all_modules

from dsr_nss.apis import read_model_config
from dsr_nss.apis.files import make_folder, write_bytes, write_json
from dsr_nss.benchmark.align import benchmark_align, benchmark_correlation
from dsr_nss.benchmark.data import format_data, report_data, soak
from dsr_nss.benchmark.device import describe_device
from dsr_nss.benchmark.infer import format_infer, report_infer
from dsr_nss.benchmark.report import format_costs, format_steps, report_steps, stage_table
from dsr_nss.engine.config import read_config
from dsr_nss.engine.launch import EXPLAINED, explain
from dsr_nss.visualization.stages import stage_bars


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Measure how fast things are here.',
        epilog=__doc__.split('\n\n', 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest='verb', required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('config')
    common.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
        help='fields to override, of --compare too',
    )  # fmt: skip
    common.add_argument('--device', choices=('cpu', 'cuda'), help='default: cuda if there is one')
    common.add_argument('--warmup', type=int, default=2, help='not timed')
    common.add_argument('--repeats', type=int, default=10, help='timed')
    common.add_argument('--json', metavar='FILE', help='write all figures there')
    common.add_argument('--debug', action='store_true', help='show the traceback of every error')

    step = verbs.add_parser('step', parents=[common], help='a training step')
    step.add_argument('--compare', metavar='CONFIG', help='time this one in turns with the first')
    step.add_argument('--amp', nargs='?', const='bf16', choices=('bf16', 'fp16'))
    step.add_argument('--stages', action='store_true', help='where the time goes')
    step.add_argument('--out', metavar='DIR', help='picture of the stages (implies --stages)')

    align = verbs.add_parser('align', parents=[common], help='aligner and local correlation')
    align.add_argument('--size', type=_size, default=(1024, 1024), metavar='HxW')

    data = verbs.add_parser('data', parents=[common], help='the training data and their loader')
    data.add_argument('--stages', action='store_true', help='where the time of an item goes')
    data.add_argument('--cache', metavar='DIR', help='time items out of this cache in turns')
    data.add_argument('--workers', type=int, help="processes of the loader (the config's)")
    data.add_argument(
        '--step-time',
        type=float,
        default=1.0,
        metavar='SECONDS',
        help='of a training step: how many workers keep up with it? (%(default)s)',
    )
    data.add_argument(
        '--soak',
        type=float,
        metavar='MINUTES',
        help='instead, read batches so long and see whether the memory of the loader grows',
    )

    infer = verbs.add_parser('infer', parents=[common], help="inference, beside mmseg's own")
    infer.add_argument('--checkpoint', help='default: random weights, which take as long')
    infer.add_argument('--size', type=_size, default=(1080, 1920), metavar='HxW')
    infer.add_argument('--images', type=int, default=8, help='of the set that is evaluated')
    infer.add_argument('--stages', action='store_true', help='where the time goes')
    infer.add_argument('--amp', choices=('bf16', 'fp16'))
    infer.add_argument('--compile', action='store_true', help='compile the network')
    infer.add_argument(
        '--workers', type=int, default=0, help='processes that decode the set; 0 counts all of it'
    )
    return parser.parse_args()


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not HEIGHTxWIDTH') from None
    return height, width


def run_step(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    configs = [read_config(path, args.cfg_options) for path in (args.config, args.compare) if path]
    report = report_steps(
        configs,
        device,
        amp=args.amp,
        warmup=args.warmup,
        repeats=args.repeats,
        stages=args.stages or bool(args.out),
    )
    print(format_steps(report))
    if args.out:
        picture = make_folder(args.out) / 'stages.png'
        write_bytes(picture, stage_bars(stage_table(report), 'seconds a step'))
        print(f'picture: {picture}')
    return report


def run_align(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    height, width = args.size
    config = read_config(args.config, args.cfg_options)
    settings = dict(warmup=args.warmup, repeats=args.repeats)
    costs = benchmark_align(config, device, size=args.size, **settings)
    shape = (1, 128, height // 4, width // 4)
    costs |= benchmark_correlation(device, shape=shape, **settings)
    described = describe_device(device)
    print(format_costs(costs, described, f'image pair of {height}x{width}'))
    return {**described, 'size': [height, width]} | {k: v.as_dict() for k, v in costs.items()}


def run_infer(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    report = report_infer(
        read_model_config(args.config, args.cfg_options),
        device,
        checkpoint=args.checkpoint,
        size=args.size,
        images=args.images,
        amp=args.amp,
        compiled=args.compile,
        workers=args.workers,
        warmup=args.warmup,
        repeats=args.repeats,
    )
    described = describe_device(device)
    print(format_infer(report, described, args.stages))
    return {**described, **report}


def run_data(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    config = read_config(args.config, args.cfg_options)
    described = describe_device(device)
    if args.soak:
        watch = soak(config, minutes=args.soak, workers=args.workers, cache=args.cache)
        print(watch)
        return {**described, **watch.as_dict()}
    report = report_data(
        config,
        device,
        cache=args.cache,
        workers=args.workers,
        step_time=args.step_time,
        warmup=args.warmup,
        repeats=args.repeats,
    )
    print(format_data(report, args.stages))
    return {**described, **report}


_VERBS = {'step': run_step, 'align': run_align, 'data': run_data, 'infer': run_infer}


def main() -> int:
    args = parse_args()
    register_all_modules()
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    try:
        report = _VERBS[args.verb](args, device)
        if args.json:
            write_json(Path(args.json), report)
    except EXPLAINED as error:
        return explain(error, args.debug)
    return 0


if __name__ == '__main__':
    sys.exit(main())
