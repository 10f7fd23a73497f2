"""Which folder a run takes, and whether another run lives there."""

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import broadcast_object_list

from dsr_nss.checkpoints.config_data import parse_config
from dsr_nss.engine.config_changes import config_changes
from dsr_nss.engine.processes import join_processes
from dsr_nss.engine.resume_points import check_new_run, latest_checkpoint
from dsr_nss.errors import CheckpointError, ConfigError


def numbered_work_dir(work_dir: str | Path, launcher: str = 'none') -> str:
    """The folder itself if no run has used it, else the first free one of `<folder>-2`, `-3`, ...

    Several processes meet here already, since all of them must take the same folder.

    Args:
        work_dir: The folder that was asked for.
        launcher: `'none'`, `'pytorch'` or `'slurm'`.
    """
    chosen: list[str | None] = [_first_free(Path(work_dir))]
    if launcher != 'none':
        join_processes(launcher)
        broadcast_object_list(chosen)
    return str(chosen[0])


def _first_free(work_dir: Path) -> str:
    folder, number = work_dir, 1
    named = work_dir if work_dir.name else work_dir.absolute()  # of '.'
    while latest_checkpoint(folder) or saved_config(folder) or (number > 1 and folder.exists()):
        number += 1
        folder = named.with_name(f'{named.name}-{number}')
    return str(folder)


def saved_config(work_dir: str | Path) -> tuple[Path, dict] | None:
    """The config that the latest run of a folder left there, and its values; None without one.

    It is parsed as plain data and never run; files that are no training config are passed over.
    """
    files = sorted(Path(work_dir).glob('*.py'), key=os.path.getmtime, reverse=True)
    for file in files:
        try:
            values = parse_config(file.read_text('utf-8'), str(file))
        except (ConfigError, OSError, UnicodeDecodeError):
            continue
        if 'train_cfg' in values and 'model' in values:
            return file, values
    return None


def check_folder(config: Config, allow_changes: bool = False) -> None:
    """A new run must not mix with another one: neither with its checkpoints nor with its logs.

    Args:
        config: What `configure_run` made ready.
        allow_changes: The config may differ from the one that lies there.

    Raises:
        CheckpointError: The folder holds checkpoints, of a run that is resumed others than it.
        ConfigError: It holds a run of another config or seed; names every field with both values.
    """
    if config.get('resume'):  # the checkpoint's own config is compared when it is loaded
        _check_resumed_into(config.work_dir, Path(config.load_from))
        return
    check_new_run(config.work_dir)
    earlier = saved_config(config.work_dir)
    changes = config_changes(earlier[1], config._cfg_dict) if earlier else []
    starts = [values.get('load_from') for values in (earlier[1] if earlier else {}, config)]
    if earlier and not earlier[1].get('resume') and starts[0] != starts[1]:
        changes.append(f'load_from: {starts[0]} -> {starts[1]}')
    if earlier and changes and not allow_changes:
        lines = ''.join(f'\n    {change}' for change in changes)
        raise ConfigError(
            f'{config.work_dir} holds another run, whose config is {earlier[0].name}. There and '
            f'here:{lines}\n'
            f'Add --new to train in {_first_free(Path(config.work_dir))}, choose another '
            '--work-dir, or move that run away'
        )


def _check_resumed_into(work_dir: str, checkpoint: Path) -> None:
    """A run that goes on in another folder must not mix with the checkpoints that lie there."""
    there = latest_checkpoint(work_dir)
    if there is not None and checkpoint.resolve().parent != Path(work_dir).resolve():
        raise CheckpointError(
            f'{work_dir} holds the checkpoints of another run, up to {there.name}, than '
            f'{checkpoint}: choose another --work-dir (that of the checkpoint goes on there), or '
            'move them away'
        )


def check_writable(work_dir: str | Path) -> None:
    """Checks that a folder can be made and written, and makes nothing.

    Raises:
        ConfigError: It cannot; says why.
    """
    folder = existing_part(work_dir)
    if not folder.is_dir():
        raise ConfigError(f'cannot write to {work_dir} ({folder} is a file); choose another')
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f'cannot write to {work_dir} (no right to write); choose another')


def existing_part(path: str | Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = Path(path).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
