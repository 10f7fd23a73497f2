"""Exports the network of a checkpoint as one file: ONNX, or a program of torch.export.

    python tools/export.py CHECKPOINT --format onnx
    python tools/export.py CHECKPOINT --format torch_export --size 540x960 --out student.pt2
    python tools/export.py CHECKPOINT --format onnx --int8 some/night/images --out int8.onnx

In float32 the file is written only if it gives the classes of the checkpoint; other precisions say
how many are the same. tools/infer.py and dsr_nss.load take it in place of a checkpoint
(docs/export.md).
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from shared_options import (
    NETWORKS,
    add_checkpoint_arguments,
    add_config_options,
    parse_checkpoint_arguments,
    print_warnings_plainly,
    read_network_config,
)

if TYPE_CHECKING:
    from dsr_nss.conversion.export import ExportReport
    from dsr_nss.inference.predictor import Predictor

FORMATS = ('onnx', 'torch_export')
DYNAMIC = 'dynamic'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Export the network of a checkpoint.')
    add_checkpoint_arguments(parser)
    parser.add_argument('--format', choices=FORMATS, required=True)
    parser.add_argument('--model', choices=NETWORKS, default='student')
    parser.add_argument(
        '--size',
        type=_size,
        metavar='HxW|dynamic',
        help='what the graph takes (default: the window of the network; without windows any size)',
    )
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument('--half', action='store_true', help='compute in float16')
    precision.add_argument(
        '--int8',
        nargs='+',
        default=[],
        metavar='IMAGE_OR_FOLDER',
        help='compute in 8 bits, with ranges measured on these images (ONNX only)',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='the file to write (default: beside the checkpoint; dsr_nss::NAME: here)',
    )
    add_config_options(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    return parse_checkpoint_arguments(parser)


def _size(text: str) -> 'tuple[int, int] | str':
    if text == DYNAMIC:
        return text
    try:
        height, width = (int(part) for part in text.split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is neither HEIGHTxWIDTH nor dynamic') from None
    return height, width


def main() -> int:
    args = parse_args()
    print_warnings_plainly()
    from dsr_nss.conversion.export import export_network
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED

    start = time.perf_counter()
    try:
        out = args.out or default_out(args)
        predictor = load(args)
        report = export_network(
            predictor,
            out,
            form=args.format,
            network=args.model,
            size=args.size,
            half=args.half,
            calibration=find_images(args.int8, out),
        )
    except EXPLAINED as error:
        return explain(error, args.debug)
    print(describe(report, time.perf_counter() - start))
    return 0


def default_out(args: argparse.Namespace) -> str:
    """Beside the checkpoint, but nothing is written into the package; each kind has its name."""
    from dsr_nss.inference.exported import SUFFIXES
    from dsr_nss.inference.predictor import newest_checkpoint
    from dsr_nss.shipped import PREFIX

    file = newest_checkpoint(args.checkpoint)
    place = Path(file.name) if args.checkpoint.startswith(PREFIX) else file
    kinds = dict(teacher=args.model == 'teacher', half=args.half, int8=args.int8)
    name = '_'.join([place.stem, *(kind for kind, stated in kinds.items() if stated)])
    return str(place.with_name(name + SUFFIXES[args.format]))


def load(args: argparse.Namespace) -> 'Predictor':
    """The network that is exported, on the CPU."""
    import dsr_nss

    config = read_network_config(args)
    return dsr_nss.load(args.checkpoint, config, which=args.model, device='cpu')


def find_images(paths: list[str], out: str) -> list[Path]:
    """The images of files and folders."""
    from dsr_nss.errors import ConfigError
    from dsr_nss.inference.inputs import find_inputs

    if not paths:
        return []
    inputs, _ = find_inputs(paths, out, unique_names=False)
    images = [one.path for one in inputs if not one.is_video]
    if not images:
        raise ConfigError(f'--int8: there is no image in {", ".join(paths)}')
    return images


def describe(report: 'ExportReport', seconds: float) -> str:
    """What was written, and how it compares with the checkpoint."""
    facts = report.facts
    size = 'any size' if facts.size is None else f'{facts.size[0]}x{facts.size[1]}'
    megabytes = report.path.stat().st_size / 1e6
    lines = [
        f'{report.path}: {facts.network}, {facts.precision}, {size}, {megabytes:.1f} MB, '
        f'{seconds:.0f} s'
    ]
    for one in report.parity:
        same = 100 * (1 - one.different / one.cells)
        lines.append(
            f'  {one.size[0]}x{one.size[1]}: {same:.6g} % of {one.cells} cells have the class of '
            f'the checkpoint; largest difference of a logit {one.difference:.2g} (largest logit '
            f'{one.largest:.2g})'
        )
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
