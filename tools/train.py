"""Trains what a config describes.

    python tools/train.py CONFIG [--with OVERLAY ...] [--max-iters N] [--work-dir D [--new]]
                          [--seed N] [--resume [PATH] [--allow-changes]] [--amp [bf16|fp16]]
                          [--log wandb|mlflow|tensorboard] [--smoke] [--cfg-options key=value ...]

Checkpoints, the log, TensorBoard scalars, pictures of the training steps and at the end
`report.html` go to the work dir.
Ctrl-C saves a checkpoint and prints the command that continues the run.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from shared_options import AMP_TYPES, add_config_options, add_overlay_option

if TYPE_CHECKING:
    from mmengine.config import Config

#: Where scalars and pictures may go besides the work dir.
TRACKERS = ('wandb', 'mlflow', 'tensorboard')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train what a config describes.', allow_abbrev=False
    )
    parser.add_argument('config', help='config file')
    add_overlay_option(parser)
    parser.add_argument(
        '--max-iters',
        type=int,
        metavar='N',
        help='length of the run; warm-up, starts of losses, teacher and intervals follow',
    )
    parser.add_argument(
        '--work-dir', help='where results go (default: work_dirs/<config name>[-<overlay>...])'
    )
    parser.add_argument(
        '--new',
        action='store_true',
        help='take a numbered folder beside the work dir if another run has used that',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='continue from PATH, or from the newest checkpoint of the work dir',
    )
    parser.add_argument(
        '--allow-changes',
        action='store_true',
        help='let a resumed run have another config than the run that it continues',
    )
    parser.add_argument('--amp', nargs='?', const='bf16', choices=AMP_TYPES, help='mixed precision')
    parser.add_argument(
        '--smoke',
        action='store_true',
        help='try the whole way in a minute on a CPU: few steps, tiny crops, random weights',
    )
    parser.add_argument(
        '--log',
        choices=TRACKERS,
        help='send scalars and pictures of the run there as well (configs of the package write for '
        'tensorboard anyway)',
    )
    parser.add_argument('--seed', type=int, help='seed of data, weights and steps')
    add_config_options(parser)
    parser.add_argument(
        '--print-groups',
        action='store_true',
        help='only print which parameters are trained, with which learning rate and decay',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    # torch's older launcher passes it
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.new and args.resume:
        parser.error('--new begins a run of its own; leave --resume out')
    if args.smoke and args.launcher != 'none' and not args.work_dir:
        parser.error('--smoke of several processes needs a --work-dir that they share')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> int:
    args = parse_args()
    logging.raiseExceptions = False  # a full disk that takes no line of the log is told once
    if not args.smoke:
        return run(args)
    with tempfile.TemporaryDirectory(prefix='dsr_nss_smoke_') as scratch:
        start = time.monotonic()
        status = run(args, Path(scratch))
        if status == 0:
            kept = f'{args.work_dir} keeps it' if args.work_dir else 'nothing of it is kept'
            print(f'\nSmoke test passed in {time.monotonic() - start:.0f} s; {kept}.')
    return status


def run(args: argparse.Namespace, scratch: Path | None = None) -> int:
    """Train; of a smoke test `scratch` takes what it needs and, by default, what it gives."""
    import torch
    from mmengine.dist import is_main_process

    import dsr_nss.studies.refinement.true_flow  # noqa: F401  registers the aligner TrueFlow
    from dsr_nss.engine.config import read_config
    from dsr_nss.engine.group_table import group_table
    from dsr_nss.engine.launch import explain, train
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.inspection.before_run import prepare_run

    try:
        changes = dict(
            options=args.cfg_options, overlays=args.overlays, max_iters=args.max_iters, log=args.log
        )
        if args.print_groups:
            print(group_table(read_config(args.config, **changes)))
            return 0
        config = prepare_run(
            args.config,
            **changes,
            smoke_data=scratch and scratch / 'nightscape',
            allow_changes=args.allow_changes,
            work_dir=args.work_dir or (scratch and str(scratch / 'run')),
            new=args.new,
            resume=args.resume,
            amp=args.amp,
            seed=args.seed,
            launcher=args.launcher,
            arguments=sys.argv[1:],
        )
        checkpoint = train(config, args.allow_changes)
    except EXPLAINED as error:
        return explain(error, args.debug)
    except KeyboardInterrupt:
        print('stopped at once; nothing was saved after the last checkpoint', file=sys.stderr)
        return 130
    if is_main_process() and checkpoint is not None:
        report(checkpoint.parent)
        if args.work_dir or not scratch:
            print(f'\nTrained. Test it with:\n    {test_command(config, checkpoint)}')
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return 0


def report(work_dir: Path) -> None:
    """Write the report; that it cannot be written does not undo the training."""
    from dsr_nss.engine.launch import short_message
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.evaluation.run_report import write_run_report

    try:
        print(f'\nreport: {write_run_report([work_dir])}')
    except EXPLAINED as error:
        print(f'\nno report: {short_message(error)}', file=sys.stderr)


def test_command(config: 'Config', checkpoint: Path) -> str:
    """The command that tests a run, from the config that the runner wrote whole beside it."""
    from dsr_nss.commands import typed

    tool = 'test_align' if config.model.type == 'WarpConsistency' else 'test'
    whole = checkpoint.parent / Path(config.filename).name
    return typed([f'tools/{tool}.py', str(whole), str(checkpoint)])


if __name__ == '__main__':
    sys.exit(main())
