"""Measure how fast things are here, as ratios in one run.

python tools/benchmark.py all configs/dsr_hrda_darkzurich.py --out work_dirs/benchmark
python tools/benchmark.py all --toy
python tools/benchmark.py device
python tools/benchmark.py step configs/dsr_hrda_darkzurich.py --amp bf16 --out work_dirs/benchmark
python tools/benchmark.py step configs/demo/dsr_hrda_nightscape.py --compare configs/demo/OTHER.py
python tools/benchmark.py growth configs/dsr_hrda_darkzurich.py --amp bf16 --crops 512 1024
python tools/benchmark.py align configs/dsr_hrda_darkzurich.py --size 1024x1024
python tools/benchmark.py data configs/dsr_hrda_darkzurich.py --stages --cache data/cache
python tools/benchmark.py data configs/dsr_hrda_darkzurich.py --soak 20 --workers 8
python tools/benchmark.py infer configs/dsr_hrda_darkzurich.py --stages
python tools/benchmark.py cost configs/dsr_dinov3_*_darkzurich.py
"""

import argparse
import math
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared_options import AMP_TYPES, add_config_options, add_overlay_option

if TYPE_CHECKING:
    import torch
    from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
#: Sizes of the part growth.
CROPS = (512, 640, 768, 896, 1024)
BATCHES = (1, 2, 4, 8)
BANKS = (1, 4, 16, 64)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Measure how fast things are here.',
        epilog=__doc__.split('\n\n', 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest='verb', required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument('--device', choices=('cpu', 'cuda'), help='default: cuda if there is one')
    shared.add_argument('--json', metavar='FILE', help='write all figures there')
    shared.add_argument('--debug', action='store_true', help='show the traceback of every error')
    options = argparse.ArgumentParser(add_help=False)
    add_config_options(options, 'fields to override, of --compare too')
    limit = argparse.ArgumentParser(add_help=False)
    limit.add_argument(
        '--limit', type=float, default=math.inf, metavar='SECONDS',
        help='repeat less often where measuring would take longer',
    )  # fmt: skip
    common = argparse.ArgumentParser(add_help=False, parents=[shared, options, limit])
    common.add_argument('config')
    common.add_argument('--warmup', type=int, default=2, help='not timed')
    common.add_argument('--repeats', type=int, default=10, help='timed')

    every = verbs.add_parser('all', parents=[shared, options], help='all of these, in time')
    every.add_argument(
        'config', nargs='?', default=str(ROOT / 'configs/dsr_hrda_darkzurich.py'),
        help='default: %(default)s',
    )  # fmt: skip
    every.add_argument('--out', metavar='DIR', help='pictures of the stages')
    every.add_argument('--toy', action='store_true', help='rehearse with tiny sizes, for a CPU')
    every.add_argument(
        '--budget-minutes', type=float, default=8.0, metavar='MINUTES',
        help='for all of it (%(default)g): fewer repeats where the time runs out',
    )  # fmt: skip

    verbs.add_parser('device', parents=[shared, limit], help='what the device can do at most')

    step = verbs.add_parser('step', parents=[common], help='a training step')
    step.add_argument('--compare', metavar='CONFIG', help='time this one in turns with the first')
    step.add_argument('--amp', nargs='?', const='bf16', choices=AMP_TYPES)
    step.add_argument('--stages', action='store_true', help='where the time goes')
    step.add_argument('--out', metavar='DIR', help='picture of the stages (implies --stages)')

    growth = verbs.add_parser('growth', parents=[common], help='how a step grows with its sizes')
    growth.add_argument('--amp', nargs='?', const='bf16', choices=AMP_TYPES)
    for name, values, what in (
        ('crops', CROPS, 'sides of square crops'),
        ('batches', BATCHES, 'source images a step'),
        ('banks', None, f'stored images ({" ".join(map(str, BANKS))} if there is a bank)'),
    ):
        listed = '' if values is None else f' ({" ".join(map(str, values))})'
        growth.add_argument(
            f'--{name}', nargs='*', type=int, default=values, metavar='N', help=what + listed
        )

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
    infer.add_argument('--amp', choices=AMP_TYPES)
    infer.add_argument('--compile', action='store_true', help='compile the network')
    infer.add_argument(
        '--workers', type=int, default=0, help='processes that decode the set; 0 counts all of it'
    )

    cost = verbs.add_parser(
        'cost',
        parents=[shared, options],
        help='operations and memory of steps, without running them',
    )
    cost.add_argument('configs', nargs='+', metavar='CONFIG')
    add_overlay_option(cost)
    return parser.parse_args()


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not HEIGHTxWIDTH') from None
    return height, width


def read(path: str, args: argparse.Namespace) -> 'Config':
    from dsr_nss.engine.config import read_config

    return read_config(path, args.cfg_options)


def run_all(args: argparse.Namespace, device: 'torch.device') -> dict[str, Any]:
    from dsr_nss.files import make_folder
    from dsr_nss.studies.benchmark.drawn_data import can_be_drawn, draw, missing_data
    from dsr_nss.studies.benchmark.everything import plan, run_parts, summary

    config = read(args.config, args)
    out = None if args.out is None else make_folder(args.out)
    end = time.perf_counter() + 60 * args.budget_minutes
    with tempfile.TemporaryDirectory() as folder:
        drawn = None
        if missing_data(config) and can_be_drawn(config):
            missing = ' and '.join(missing_data(config).values())
            print(f'no folder {missing}: the part data reads drawn scenes instead', flush=True)
            drawn = Path(folder) / 'drawn'
            draw(drawn, '192x384' if args.toy else 'full')
        parts = plan(
            config, options=args.cfg_options, device=args.device, toy=args.toy, drawn=drawn
        )
        seconds = end - time.perf_counter()
        outcomes = run_parts(parts, Path(__file__), seconds=seconds, out=out)
    print(f'\n{summary(outcomes)}')
    return {'parts': {name: asdict(outcome) for name, outcome in outcomes.items()}}


def run_device(args: argparse.Namespace, device: 'torch.device') -> dict[str, Any]:
    from dsr_nss.studies.benchmark.device import format_device, report_device

    report = report_device(device)
    print(format_device(report))
    return report


def run_growth(args: argparse.Namespace, device: 'torch.device') -> dict[str, Any]:
    from dsr_nss.studies.benchmark.growth import format_growth, report_growth

    config = read(args.config, args)
    report = report_growth(config, device, **_given(args, 'crops batches banks amp warmup repeats'))
    print(format_growth(report))
    return report


def run_step(args: argparse.Namespace, device: 'torch.device') -> dict[str, Any]:
    from dsr_nss.files import make_folder, write_bytes
    from dsr_nss.studies.benchmark.bars import stage_bars
    from dsr_nss.studies.benchmark.report import format_steps, report_steps, stage_seconds

    configs = [read(path, args) for path in (args.config, args.compare) if path]
    stages = args.stages or bool(args.out)
    report = report_steps(configs, device, stages=stages, **_given(args, 'amp warmup repeats'))
    print(format_steps(report))
    if args.out:
        picture = make_folder(args.out) / 'stages.png'
        write_bytes(picture, stage_bars(stage_seconds(report), 'seconds a step'))
        print(f'picture: {picture}')
    return report


def run_align(args: argparse.Namespace, device: 'torch.device') -> dict[str, Any]:
    from dsr_nss.studies.benchmark.align import format_align, report_align

    config = read(args.config, args)
    report = report_align(config, device, **_given(args, 'size warmup repeats'))
    print(format_align(report))
    return report


def run_infer(args: argparse.Namespace, device: 'torch.device') -> dict[str, Any]:
    from dsr_nss.inference.load import read_model_config
    from dsr_nss.studies.benchmark.infer import format_infer, report_infer

    config = read_model_config(args.config, args.cfg_options)
    given = _given(args, 'checkpoint size images amp workers warmup repeats')
    report = report_infer(config, device, compiled=args.compile, **given)
    print(format_infer(report, args.stages))
    return report


def run_data(args: argparse.Namespace, device: 'torch.device') -> dict[str, Any]:
    from dsr_nss.studies.benchmark.data import format_data, report_data, soak
    from dsr_nss.studies.benchmark.device import machine
    from dsr_nss.studies.benchmark.loader_memory import format_memory

    config = read(args.config, args)
    if args.soak:
        report = soak(config, minutes=args.soak, **_given(args, 'workers cache'))
        print(format_memory(report))
        return {**machine(device), **report}
    report = report_data(config, device, **_given(args, 'cache workers step_time warmup repeats'))
    print(format_data(report, args.stages))
    return report


def run_cost(args: argparse.Namespace, device: 'torch.device') -> dict[str, Any]:
    from dsr_nss.engine.config import read_config
    from dsr_nss.studies.benchmark.memory import format_cost, report_cost

    configs = [read_config(path, args.cfg_options, overlays=args.overlays) for path in args.configs]
    report = report_cost(configs)
    print(format_cost(report))
    return report


def _given(args: argparse.Namespace, names: str) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names.split()}


_VERBS = {
    'all': run_all,
    'device': run_device,
    'step': run_step,
    'growth': run_growth,
    'align': run_align,
    'data': run_data,
    'infer': run_infer,
    'cost': run_cost,
}


def main() -> int:
    args = parse_args()
    import torch
    from mmseg.utils import register_all_modules

    from dsr_nss.engine.devices import default_device
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.files import write_json
    from dsr_nss.studies.benchmark.everything import EXIT_OUT_OF_MEMORY
    from dsr_nss.studies.benchmark.timing import is_out_of_memory, time_limit

    register_all_modules()
    device = torch.device(args.device or default_device())
    try:
        with time_limit(getattr(args, 'limit', math.inf)):
            report = _VERBS[args.verb](args, device)
        if args.json:
            write_json(Path(args.json), report)
    except EXPLAINED as error:
        return explain(error, args.debug)
    except RuntimeError as error:
        if not is_out_of_memory(error) or args.debug:
            raise
        print(f'error: out of memory: {str(error).splitlines()[0]}', file=sys.stderr)
        return EXIT_OUT_OF_MEMORY
    failed = any(part['status'] == 'failed' for part in report.get('parts', {}).values())
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
