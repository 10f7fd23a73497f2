"""Which checkpoint of a work dir a run continues from."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import print_log

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.engine.resume_checks import NEEDED
from dsr_nss.errors import CheckpointError


def checkpoints_of(work_dir: str | Path) -> list[Path]:
    """All `iter_N.pth` of a work dir, the largest `N` first.

    The names decide, not `last_checkpoint` beside them, which copying a work dir may lose.
    """
    found = {
        int(path.stem.removeprefix('iter_')): path
        for path in Path(work_dir).glob('iter_*.pth')
        if path.stem.removeprefix('iter_').isdecimal()
    }
    return [found[number] for number in sorted(found, reverse=True)]


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The `iter_N.pth` with the largest `N`, unread; None without one."""
    return next(iter(checkpoints_of(work_dir)), None)


def resume_point(work_dir: str | Path) -> Path | None:
    """The newest checkpoint of a work dir that can be read as a training state.

    Says which it takes, and which newer ones it passed over and why. One that can be read but is of
    another model or config is not passed over: resuming from it says what differs.

    Returns:
        The file; None if the work dir holds no checkpoint at all, so that a run may begin.

    Raises:
        CheckpointError: There are checkpoints, but none that can be continued from.
    """
    work_dir = Path(work_dir)
    refused = []
    for path in checkpoints_of(work_dir):
        problem = _problem(path)
        if problem is None:
            print_log(f'resuming from {path}, the newest checkpoint that is whole')
            return path
        refused.append(problem)
        print_log(f'passed over: {problem}')
    others = sorted(path.name for path in _other_traces(work_dir))
    if not refused and not others:
        return None
    remedy = (
        'Name one that is good with --resume PATH, or move them away (or choose another '
        '--work-dir) to begin anew'
    )
    if refused:
        raise CheckpointError(
            f'{work_dir} holds {len(refused)} checkpoint(s), but none to continue from: '
            f'{"; ".join(refused)}. {remedy}'
        )
    raise CheckpointError(
        f'{work_dir} holds {", ".join(others[:4])} but no checkpoint named iter_N.pth. {remedy}'
    )


def _problem(path: Path) -> str | None:
    """Why a checkpoint cannot be continued from, or None."""
    try:
        content = load_checkpoint_file(path)
    except (CheckpointError, OSError) as error:
        return str(error)
    absent = [name for name in NEEDED if name not in content]
    if absent:
        return f'{path} holds no {", ".join(absent)}'
    number, iteration = path.stem.removeprefix('iter_'), content['meta'].get('iter')
    if iteration != int(number):
        return f'{path} is named iteration {number} but holds iteration {iteration!r:.20}'
    return None


def _other_traces(work_dir: Path) -> Iterator[Path]:
    """What earlier training left under other names."""
    yield from work_dir.glob('*.pth')
    pointer = work_dir / 'last_checkpoint'
    if pointer.exists() or pointer.is_symlink():
        yield pointer


def check_new_run(work_dir: str | Path) -> None:
    """A new run beside the checkpoints of an earlier one would overwrite them one by one.

    Raises:
        CheckpointError: There are some.
    """
    path = latest_checkpoint(work_dir) or next(Path(work_dir).glob('best_iter_*.pth'), None)
    if path is not None:
        raise CheckpointError(
            f'{work_dir} holds the checkpoints of an earlier run, up to {path.name}: add --resume '
            'to continue it or --new to train in a numbered folder beside it, choose another '
            '--work-dir, or move them away'
        )


def check_pointer(work_dir: str | Path) -> None:
    """The name `last_checkpoint`, which every save writes anew, must be free for a file.

    Raises:
        CheckpointError: It is the name of a folder.
    """
    pointer = Path(work_dir) / 'last_checkpoint'
    if pointer.is_dir():
        raise CheckpointError(
            f'{pointer} is a folder, where a run notes its last file: remove or rename it'
        )
