"""Trains what a config describes.

    python tools/train.py CONFIG [--with OVERLAY ...] [--max-iters N] [--work-dir D] [--seed N]
                          [--resume [PATH] [--allow-changes]] [--amp [bf16|fp16]]
                          [--cfg-options key=value ...]

Checkpoints, the log, TensorBoard scalars and pictures of the training steps go to the work dir.
Ctrl-C saves a checkpoint and prints the command that continues the run.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from shared_options import AMP_TYPES, add_config_options, add_overlay_option


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
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> int:
    args = parse_args()
    import torch
    from mmengine.dist import is_main_process

    import dsr_nss.studies.refinement.true_flow  # noqa: F401  registers the aligner TrueFlow
    from dsr_nss.commands import call
    from dsr_nss.engine.config import read_config
    from dsr_nss.engine.group_table import group_table
    from dsr_nss.engine.launch import configure_run, explain, train
    from dsr_nss.errors import EXPLAINED

    logging.raiseExceptions = False  # a full disk that takes no line of the log is told once, below
    try:
        config = read_config(
            args.config, args.cfg_options, overlays=args.overlays, max_iters=args.max_iters
        )
        if args.print_groups:
            print(group_table(config))
            return 0
        configure_run(
            config,
            work_dir=args.work_dir,
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
        tool = 'test_align' if config.model.type == 'WarpConsistency' else 'test'
        # the runner wrote it whole, with overlays and options
        whole = checkpoint.parent / Path(config.filename).name
        print(f'\nTrained. Test it with:\n    {call(tool)} {whole} {checkpoint}')
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return 0


if __name__ == '__main__':
    sys.exit(main())
