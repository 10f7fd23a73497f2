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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared_options import AMP_TYPES, add_config_options, add_overlay_option

if TYPE_CHECKING:
    from mmengine.config import Config

    from dsr_nss.studies.benchmark.timing import Turns

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
    common.add_argument('--warmup', type=_at_least(0), default=2, help='not timed')
    common.add_argument('--repeats', type=_at_least(1), default=10, help='timed')

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

    device = verbs.add_parser(
        'device', parents=[shared, limit], help='what the device can do at most'
    )
    device.set_defaults(warmup=0, repeats=0)  # it has its own

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
    data.add_argument('--workers', type=_at_least(1), help="processes of the loader (the config's)")
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
    infer.add_argument(
        '--images', type=_at_least(1), default=8, help='of the set that is evaluated'
    )
    infer.add_argument('--stages', action='store_true', help='where the time goes')
    infer.add_argument('--amp', choices=AMP_TYPES)
    infer.add_argument(
        '--compile', action='store_true', dest='compiled', help='compile the network'
    )
    infer.add_argument(
        '--workers',
        type=_at_least(0),
        default=0,
        help='processes that decode the set; 0 counts all of it',
    )

    cost = verbs.add_parser(
        'cost',
        parents=[shared, options],
        help='operations and memory of steps, without running them',
    )
    cost.add_argument('configs', nargs='+', metavar='CONFIG')
    add_overlay_option(cost)
    cost.set_defaults(warmup=0, repeats=0, limit=math.inf)  # nothing is timed
    return parser.parse_args()


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f'{text!r} is no whole number from {least} on')
        return int(text)

    return number


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (_at_least(1)(part) for part in text.split('x'))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f'{text!r} is not HEIGHTxWIDTH') from None
    return height, width


def run_all(args: argparse.Namespace, config: 'Config') -> dict[str, Any]:
    from dsr_nss.files import make_folder
    from dsr_nss.studies.benchmark.everything import draw_missing, plan, run_parts, summary

    out = None if args.out is None else make_folder(args.out)
    end = time.perf_counter() + 60 * args.budget_minutes
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_missing(config, Path(folder) / 'drawn', '192x384' if args.toy else 'full')
        parts = plan(
            config, options=args.cfg_options, device=args.device, toy=args.toy, drawn=drawn
        )
        seconds = end - time.perf_counter()
        outcomes = run_parts(parts, Path(__file__), seconds=seconds, out=out)
    print(f'\n{summary(outcomes)}')
    return {'parts': {name: outcome._asdict() for name, outcome in outcomes.items()}}


def run_part(args: argparse.Namespace, config: 'Config | None', turns: 'Turns') -> dict[str, Any]:
    from dsr_nss.engine.config import read_config
    from dsr_nss.files import make_folder
    from dsr_nss.studies.benchmark.align import benchmark_align
    from dsr_nss.studies.benchmark.data import benchmark_data, soak
    from dsr_nss.studies.benchmark.device import benchmark_device
    from dsr_nss.studies.benchmark.growth import benchmark_growth
    from dsr_nss.studies.benchmark.infer import benchmark_infer
    from dsr_nss.studies.benchmark.memory import benchmark_cost
    from dsr_nss.studies.benchmark.step import benchmark_steps, stage_figure
    from dsr_nss.visualization.scores import save_png

    def given(names: str) -> dict[str, Any]:
        return {name: getattr(args, name) for name in names.split()}

    if args.verb == 'device':
        report = benchmark_device(turns)
    elif args.verb == 'step':
        second = [read_config(args.compare, args.cfg_options)] if args.compare else []
        stages = args.stages or bool(args.out)
        report = benchmark_steps([config, *second], turns, amp=args.amp, stages=stages)
    elif args.verb == 'growth':
        report = benchmark_growth(config, turns, **given('crops batches banks amp'))
    elif args.verb == 'align':
        report = benchmark_align(config, turns, size=args.size)
    elif args.verb == 'infer':
        names = 'checkpoint size images amp compiled workers stages'
        report = benchmark_infer(config, turns, **given(names))
    elif args.verb == 'cost':
        configs = [
            read_config(path, args.cfg_options, overlays=args.overlays) for path in args.configs
        ]
        report = benchmark_cost(configs, turns)
    elif args.soak:
        report = soak(config, turns, minutes=args.soak, **given('workers cache'))
    else:
        report = benchmark_data(config, turns, **given('cache workers step_time stages'))
    print(report.text)
    if args.verb == 'step' and args.out:
        picture = make_folder(args.out) / 'stages.png'
        save_png(stage_figure(report.content['steps']), picture)
        print(f'picture: {picture}')
    return report.content


def main() -> int:
    args = parse_args()
    from mmseg.utils import register_all_modules

    from dsr_nss.engine.config import read_config
    from dsr_nss.engine.devices import default_device, is_out_of_memory, usable_device
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.files import require_writable, write_json
    from dsr_nss.inference.load import read_model_config
    from dsr_nss.studies.benchmark.everything import EXIT_OUT_OF_MEMORY
    from dsr_nss.studies.benchmark.timing import Turns

    register_all_modules()
    try:
        if args.json:
            require_writable(args.json)
        config = None
        if 'config' in args:
            read = read_model_config if args.verb == 'infer' else read_config
            config = read(args.config, args.cfg_options)
        if args.verb == 'all':
            report = run_all(args, config)
        else:
            turns = Turns(
                usable_device(args.device or default_device()),
                args.warmup, args.repeats, end=time.perf_counter() + args.limit,
            )  # fmt: skip
            report = run_part(args, config, turns)
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
