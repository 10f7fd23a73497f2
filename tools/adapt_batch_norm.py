"""AdaBN and PreciseBN, baselines without training: batch norm statistics of a checkpoint, anew.

    python tools/adapt_batch_norm.py configs/demo/source_only_hrda_nightscape.py \
        work_dirs/source_only_hrda_nightscape/iter_600.pth adabn.pth
    python tools/test.py configs/demo/source_only_hrda_nightscape.py adabn.pth

The images are those that the config trains on. To score a network so without keeping it:
`tools/test.py --batch-norms adabn`.
"""

import argparse
import sys

from shared_options import BATCH_NORMS, NETWORKS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Batch norm statistics of a checkpoint, taken anew on images that the config '
        'trains on.'
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('destination', help='the checkpoint to write; tools/test.py takes it')
    parser.add_argument(
        '--batch-norms',
        choices=BATCH_NORMS[1:],
        default='adabn',
        help='on the night images of the target, or on the source images (default: adabn)',
    )
    parser.add_argument('--model', choices=NETWORKS, default='student')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU if there is one)')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.devices import default_device
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED
    from dsr_nss.inference.adapt_batch_norm import adapt_batch_norm
    from dsr_nss.inference.load import read_model_config

    device = args.device or default_device()
    try:
        config = read_model_config(args.config)
        done = adapt_batch_norm(
            config, args.checkpoint, args.destination, args.model, device, args.batch_norms
        )
    except EXPLAINED as error:
        return explain(error, args.debug)
    print(f'{args.destination}: {done.norms} batch norms, statistics of {done.images} images')
    return 0


if __name__ == '__main__':
    sys.exit(main())
