"""Predicts images, folders of images at any depth, and videos.

    python tools/infer.py [CONFIG] CHECKPOINT IMAGE_OR_FOLDER_OR_VIDEO... --out DIR [--overlay]

Writes train ids, colours and, with --overlay, both over the image (docs/inference.md). Without
CONFIG the network is the one that the checkpoint itself describes. CHECKPOINT may be a file of
tools/export.py, .onnx or .pt2 (docs/export.md). What is there already is kept: a
run that was stopped goes on. The exit status is 1 where an input could not be predicted, 2 where
nothing could be begun or written.
"""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from shared_options import (
    add_checkpoint_arguments,
    add_config_options,
    add_network_options,
    parse_checkpoint_arguments,
    print_warnings_plainly,
    read_network_config,
)

if TYPE_CHECKING:
    from dsr_nss.inference.files import InferReport


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Predict images, folders and videos.')
    add_checkpoint_arguments(parser)
    parser.add_argument('inputs', nargs='+', help='images, folders, videos', metavar='INPUT')
    parser.add_argument('--out', required=True, metavar='DIR', help='where the results go')
    parser.add_argument(
        '--overlay', action='store_true', help='also write the images with the colours over them'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='remove earlier results of these inputs first'
    )
    add_network_options(parser)
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='the most images of one size that go through the network together',
    )
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU if there is one)')
    parser.add_argument(
        '--workers', type=int, default=2, help='threads that read, and as many that write'
    )
    add_config_options(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parse_checkpoint_arguments(parser)
    if args.batch_size < 1:
        parser.error(f'--batch-size must be >= 1, got {args.batch_size}')
    if args.workers < 0:
        parser.error(f'--workers must be >= 0, got {args.workers}')
    return args


def main() -> int:
    args = parse_args()
    print_warnings_plainly()
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.inference.files import infer

    start = time.perf_counter()
    try:
        result = infer(
            read_network_config(args),
            args.checkpoint,
            args.inputs,
            args.out,
            which=args.model,
            overlays=args.overlay,
            tta=args.tta,
            amp=args.amp,
            compiled=args.compile,
            batch_size=args.batch_size,
            overwrite=args.overwrite,
            device=args.device,
            workers=args.workers,
        )
    except EXPLAINED as error:  # a full disk, for instance; what is done is kept
        return explain(error, args.debug)
    report(result, args, time.perf_counter() - start)
    return 1 if result.failed else 0


def report(result: 'InferReport', args: argparse.Namespace, seconds: float) -> None:
    """Say what came out, what did not, and where it is."""
    print(f'{network_name(args)}: {args.out}')
    made = counted(result.images, 'image') if result.images or not result.frames else ''
    frames = f'{counted(result.frames, "frame")} of videos' if result.frames else ''
    print(
        f'{" and ".join(filter(None, (made, frames)))} in {seconds:.1f} s'
        + (f', {result.kept} of them kept from an earlier run' if result.kept else '')
    )
    from dsr_nss.checkpoints.comparison import printable

    if result.others:
        kinds = ', '.join(f'{n} {suffix}' for suffix, n in sorted(result.others.items()))
        kinds = printable(kinds)
        print(f'left out, neither image nor video: {kinds}')
    if result.failed:
        print(
            f'error: {counted(len(result.failed), "input")} could not be predicted:',
            file=sys.stderr,
        )
        for path, message in result.failed.items():
            text = message if str(path) in message else f'{path}: {message}'
            print(f'  {printable(text)}', file=sys.stderr)


def counted(number: int, thing: str) -> str:
    return f'{number} {thing}{"" if number == 1 else "s"}'


def network_name(args: argparse.Namespace) -> str:
    """An exported file holds one network, whatever `--model` says by default."""
    from dsr_nss.inference.exported import is_exported

    exported = is_exported(args.checkpoint)
    return args.checkpoint if exported else f'{args.model} of {args.checkpoint}'


if __name__ == '__main__':
    sys.exit(main())
