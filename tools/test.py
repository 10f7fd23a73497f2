"""Tests a checkpoint on one or several sets.

    python tools/test.py [CONFIG] CHECKPOINT [--dataset dark_zurich_val,acdc_night_val] [--json F]
    python tools/test.py [CONFIG] CHECKPOINT --images DIR [--labels DIR] --out DIR
    python tools/test.py [CONFIG] CHECKPOINT --submit dark_zurich|acdc|cityscapes
    torchrun --nproc_per_node 4 tools/test.py [CONFIG] CHECKPOINT --launcher pytorch

Without CONFIG the network is the one that the checkpoint itself describes, and the test sets are
the published ones. Prints IoU by class and group and both means; `--out` also writes the
predictions, `--report` measures more and draws it (docs/evaluation.md), `--submit` writes what a
test server takes.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shared_options import (
    BATCH_NORMS,
    SERVERS,
    add_checkpoint_arguments,
    add_config_options,
    add_network_options,
    add_overlay_option,
    parse_checkpoint_arguments,
    print_warnings_plainly,
)

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a checkpoint on one or several sets.')
    add_checkpoint_arguments(parser)
    add_overlay_option(parser)
    parser.add_argument(
        '--dataset',
        metavar='NAME[,NAME...]',
        help="sets of the config's test_sets (default: its default_test_sets)",
    )
    parser.add_argument('--images', metavar='DIR', help='predict a folder of images')
    parser.add_argument(
        '--labels', metavar='DIR', help='label PNGs of --images with the same stems: score them'
    )
    parser.add_argument('--out', metavar='DIR', help='write predictions as PNGs')
    parser.add_argument('--json', metavar='FILE', help='write the scores as one flat JSON object')
    parser.add_argument(
        '--report',
        metavar='DIR',
        help='also measure boundary IoU, recall of small objects and UIoU, and write them with the '
        'confusion matrix and the worst images',
    )
    parser.add_argument(
        '--submit',
        choices=SERVERS,
        help='write the archive for a test server instead of scores; --dataset names another set '
        'than the whole test split',
    )
    parser.add_argument(
        '--submit-file', metavar='ZIP', help='the archive (default: <SUBMIT>_submission.zip)'
    )
    parser.add_argument(
        '--invalid-below',
        type=float,
        metavar='CONFIDENCE',
        help='with --submit dark_zurich: pixels of lower confidence are predicted as invalid',
    )
    add_network_options(parser)
    parser.add_argument(
        '--batch-norms',
        choices=BATCH_NORMS,
        default='plain',
        help='take the statistics of batch norms anew, without labels, on images that the config '
        'trains on: adabn on its night images, precise on its source images',
    )
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU if there is one)')
    parser.add_argument('--workers', type=int, default=2, help='processes that load images')
    add_config_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parse_checkpoint_arguments(parser)
    if args.labels and not args.images:
        parser.error('--labels needs --images')
    if args.submit_file and not args.submit:
        parser.error('--submit-file needs --submit')
    if args.invalid_below is not None:
        if not args.submit:
            parser.error('--invalid-below needs --submit')
        if not 0 <= args.invalid_below <= 1:
            parser.error(f'--invalid-below must lie in 0..1, got {args.invalid_below}')
    if args.submit:
        for option in ('images', 'out', 'json', 'report'):
            if getattr(args, option):
                parser.error(f'--submit writes the archive only; leave --{option} out')
        if args.launcher != 'none':
            parser.error('--submit runs in one process; leave --launcher out')
    if args.workers < 0:
        parser.error(f'--workers must be >= 0, got {args.workers}')
    return args


def main() -> int:
    args = parse_args()
    print_warnings_plainly()
    import torch
    from mmengine.dist import is_main_process

    from dsr_nss.engine.launch import explain
    from dsr_nss.engine.processes import join_processes
    from dsr_nss.errors import EXPLAINED, ConfigError
    from dsr_nss.evaluation.evaluate import evaluate
    from dsr_nss.files import make_folder, require_writable, write_json

    results: dict = {}

    def finished(scores: dict) -> None:
        results.update(scores)
        if args.json and is_main_process():
            write_json(args.json, scores)

    try:
        config = read_config(args)
        if args.submit:
            return submit(config, args)
        for folder in filter(None, (args.out, args.report)):
            make_folder(folder)  # now, not after an hour of predicting
        if args.json:
            require_writable(args.json)
        if args.report and list(Path(args.report).glob('*/vis_data/scalars.json')):
            raise ConfigError(
                f'--report {args.report} is the work dir of a run, which has a report of its own; '
                f'name a folder in it: {Path(args.report) / "test"}'
            )
        device = join_processes(args.launcher, args.device)
        try:
            evaluate(
                config,
                args.checkpoint,
                names=args.dataset.split(',') if args.dataset else None,
                images=args.images,
                labels=args.labels,
                which=args.model,
                batch_norms=args.batch_norms,
                out=args.out,
                report=args.report,
                tta=args.tta,
                amp=args.amp,
                compiled=args.compile,
                device=device,
                workers=args.workers,
                finished=finished,
            )
        finally:
            if results and is_main_process():
                report(results, args)  # also of the sets before one that failed
    except EXPLAINED as error:
        return explain(error, args.debug)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return 0


def read_config(args: argparse.Namespace) -> 'Config':
    """The config that was named, or the checkpoint's own network with the published test sets."""
    from dsr_nss.conversion.own_config import own_config
    from dsr_nss.engine.processes import launched_rank
    from dsr_nss.inference.load import change_model_config, read_model_config

    if args.config is not None:
        return read_model_config(args.config, args.cfg_options, args.overlays)
    config = change_model_config(own_config(args.checkpoint), args.cfg_options, args.overlays)
    if config.get('test_sets') and not args.images and launched_rank(args.launcher) == 0:
        print(
            f'{args.checkpoint} brings its network and no test sets; the published ones below '
            f'data/ are taken: {", ".join(config.test_sets)}'
        )
    return config


def submit(config: 'Config', args: argparse.Namespace) -> int:
    """Write the archive and say where it is."""
    from dsr_nss.commands import call
    from dsr_nss.evaluation.submit import write_submission

    path, images = write_submission(
        config,
        args.checkpoint,
        args.submit,
        args.submit_file or f'{args.submit}_submission.zip',
        name=args.dataset,
        invalid_below=args.invalid_below,
        which=args.model,
        batch_norms=args.batch_norms,
        tta=args.tta,
        amp=args.amp,
        compiled=args.compile,
        device=args.device,
        workers=args.workers,
    )
    print(f'{path}: {images} images, {args.model} of {args.checkpoint}')
    print(f'check it with: {call("check_submission")} {path}')
    return 0


def report(results: dict, args: argparse.Namespace) -> None:
    """Say what came out and where it is."""
    from dsr_nss.evaluation.iou import occurrence_note
    from dsr_nss.evaluation.table import format_table, set_names

    norms = '' if args.batch_norms == 'plain' else f', batch norms: {args.batch_norms}'
    tta = ', test-time augmentation' if args.tta else ''
    print(f'{args.model} of {args.checkpoint}{norms}{tta}')
    if set_names(results):
        print(format_table(results))
    for name in set_names(results):
        scores = {k.removeprefix(f'{name}/'): v for k, v in results.items()}
        note = occurrence_note(scores)
        if note is not None:
            print(f'{name}: {note}')
    for key, images in results.items():
        if key.endswith('/images'):
            print(f'{key[:-7]}: {images} images, {results[f"{key}_per_second"]:.2f} images/s')
    if args.out:
        print(f'predictions: {args.out}')
    if args.report:
        for name in set_names(results):
            if f'{name}/UIoU' not in results:
                print(f'{name}: no UIoU, the set has no masks of invalid pixels')
        print(f'report: {write_page(args.report, set_names(results))}')
    if args.json:
        print(f'scores: {args.json}')


def write_page(folder: str, names: list[str]) -> Path:
    """The page over the reports of all sets."""
    from dsr_nss.engine.run_info import add_start
    from dsr_nss.evaluation.run_report import write_test_report

    add_start(folder, seed=None)
    return write_test_report(folder, names)


if __name__ == '__main__':
    sys.exit(main())
