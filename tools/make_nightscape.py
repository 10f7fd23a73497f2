"""Generates the embedded day/night street scene set.

Example: python tools/make_nightscape.py data/nightscape --scenes 120 --size 256x512 --seed 0
"""

import argparse
import os
import sys
import time
from pathlib import Path


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'out', nargs='?', type=Path, help='folder of the set; the same set in it is made anew'
    )
    parser.add_argument(
        '--scenes', type=int, default=120, help='source train scenes; the rest follows [120]'
    )
    parser.add_argument(
        '--size',
        default='256x512',
        help="HxW, or 'full': source 1024x2048, targets 1080x1920 [256x512]",
    )
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes [0]')
    parser.add_argument('--workers', type=int, help='processes [all cores]')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a set of other settings; write into a folder that holds other things',
    )
    parser.add_argument(
        '--preview', type=Path, metavar='PNG', help='write the picture for the README instead'
    )
    parsed = parser.parse_args(arguments)
    if (parsed.out is None) == (parsed.preview is None):
        parser.error('name the folder OUT, or --preview PNG')
    return parsed


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parsed = parse_arguments(arguments)
    # One thread a process: the processes already use all cores.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    from dsr_nss.nightscape import NIGHTSCAPE_VERSION, Settings, generate, parse_size
    from dsr_nss.nightscape.preview import write_preview

    start = time.monotonic()
    try:
        if parsed.preview is not None:
            print(f'wrote {write_preview(parsed.preview, parsed.seed)}')
            return 0
        source_size, target_size = parse_size(parsed.size)
        settings = Settings(parsed.scenes, parsed.seed, source_size, target_size)
        sizes = generate(parsed.out, settings, workers=parsed.workers, overwrite=parsed.overwrite)
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    seconds = time.monotonic() - start
    print(f'Nightscape {NIGHTSCAPE_VERSION} in {parsed.out}, {seconds:.0f} s:')
    for split, count in sizes.items():
        kind = 'scenes' if split.startswith('cityscapes') else 'night/day pairs'
        if split.startswith('nighttime_driving'):
            kind = 'night scenes'
        print(f'  {split:24s} {count:5d} {kind}')
    print('  truth                    labels and flow of the dark_zurich train pairs')
    return 0


if __name__ == '__main__':
    sys.exit(main())
