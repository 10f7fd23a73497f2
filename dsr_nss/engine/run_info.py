"""With which command, where and when a run was started and resumed: `run_info.json`."""

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from dsr_nss.engine.environment import describe_environment, describe_machine
from dsr_nss.files import write_json

NAME = 'run_info.json'


def add_start(work_dir: str | Path, seed: int | None) -> None:
    """Notes a start beside those that went before.

    Args:
        work_dir: Folder of the run.
        seed: Its seed.
    """
    program, *arguments = sys.argv
    called = program.split() if program.startswith('dsr-nss ') else ['python', program]
    start = dict(
        command=shlex.join([*called, *arguments]),
        time=datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
        seed=seed,
        machine=describe_machine(),
        environment=describe_environment(),
    )
    write_json(Path(work_dir) / NAME, dict(starts=[*read_starts(work_dir), start]))


def read_starts(work_dir: str | Path) -> list[dict[str, Any]]:
    """All starts of a run, the first one first; none of a run that did not note them."""
    try:
        starts = json.loads((Path(work_dir) / NAME).read_text('utf-8'))['starts']
        return [start for start in starts if isinstance(start, dict)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
