"""Shows in the browser what a checkpoint, or two side by side, predict for photos and videos.

    python tools/web.py CHECKPOINT [CHECKPOINT]

Opens a page of this machine: drop a photo or a video there, or click an image of nightscape. Of two
checkpoints, as one before and one after adaptation, a slider shows one left and one right of it.
CHECKPOINT may be the folder of a run, or a file of tools/export.py. It needs the extra `web`.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from shared_options import add_network_options

if TYPE_CHECKING:
    from dsr_nss.web.page import Network


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Show predictions in the browser.')
    parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='CHECKPOINT',
        help='one or two checkpoints, folders of runs, or exported networks',
    )
    parser.add_argument('--config', help="config of both (default: each checkpoint's own)")
    add_network_options(parser)
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU if there is one)')
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address at which the page answers; 0.0.0.0: whoever reaches this machine can upload '
        '(default: 127.0.0.1, this machine alone)',
    )
    parser.add_argument('--port', type=int, help='default: the first free one from 7860 on')
    parser.add_argument('--no-browser', action='store_true', help='only print the address')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    if len(args.checkpoints) > 2:
        parser.error(f'one or two checkpoints are compared, got {len(args.checkpoints)}')
    return args


def main() -> int:
    args = parse_args()
    from dsr_nss.engine.launch import explain
    from dsr_nss.errors import EXPLAINED

    # a service or a container ends a program so, and uploads must go then too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with tempfile.TemporaryDirectory(prefix='dsr_nss_web_') as folder:
            return serve(args, Path(folder))
    except EXPLAINED as error:
        return explain(error, args.debug)


def serve(args: argparse.Namespace, folder: Path) -> int:
    """Until Ctrl-C; uploads and results lie in the folder."""
    from dsr_nss.web.examples import write_examples
    from dsr_nss.web.page import make_page, start

    page = make_page(load_networks(args), write_examples(folder / 'examples'), folder)
    address = start(page, args.host, args.port, browser=not args.no_browser)
    print(f'{address} (Ctrl-C ends it)', flush=True)
    page.block_thread()
    return 0


def load_networks(args: argparse.Namespace) -> 'list[Network]':
    """Each checkpoint under the name of its folder and file."""
    from dsr_nss.inference.predictor import load, newest_checkpoint
    from dsr_nss.web.page import Network

    networks = []
    for checkpoint in args.checkpoints:
        file = newest_checkpoint(checkpoint)
        predictor = load(
            file, args.config, which=args.model, device=args.device or 'auto', tta=args.tta,
            amp=args.amp, compile=args.compile,
        )  # fmt: skip
        networks.append(Network('/'.join(file.absolute().parts[-2:]), predictor))
    return networks


if __name__ == '__main__':
    sys.exit(main())
