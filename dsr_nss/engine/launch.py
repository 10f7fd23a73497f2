"""From a checked config and command line options to a run: what `tools/train.py` does in order."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import DATASETS

from dsr_nss.checkpoints.comparison import printable
from dsr_nss.commands import typed
from dsr_nss.engine.config import accepted_fields, components, hooks_of_type
from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.engine.processes import launched_rank
from dsr_nss.engine.resume_points import check_pointer, latest_checkpoint, resume_point
from dsr_nss.engine.run_lock import RunLock
from dsr_nss.engine.runner import AdaptationRunner
from dsr_nss.engine.test_loop import add_test_loop
from dsr_nss.engine.work_dirs import check_folder, check_writable, numbered_work_dir
from dsr_nss.errors import ConfigError, StorageError
from dsr_nss.files import DISK_FULL, make_folder, storage_error


def configure_run(
    config: Config,
    *,
    work_dir: str | None = None,
    new: bool = False,
    resume: str | None = None,
    amp: str | None = None,
    seed: int | None = None,
    launcher: str = 'none',
    arguments: Sequence[str] = (),
) -> None:
    """Writes the command line's choices into the config.

    Args:
        config: What `read_config` returned.
        work_dir: Folder of everything that is written; None: the config's, else
            `work_dirs/<config name>`.
        new: Take a numbered folder beside it where another run has used it.
        resume: `'auto'` for the newest whole checkpoint of the work dir, or a checkpoint file.
        amp: `'bf16'` or `'fp16'`: mixed precision.
        seed: Seed of the data, of the weights and of every step; None: the
            config's `randomness.seed`, but where the dataset or the hook states its own.
        launcher: `'none'`, `'pytorch'` or `'slurm'`.
        arguments: The whole command line, for the message that says how to resume.

    Raises:
        ConfigError: The work dir cannot be written. Nothing is written here.
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: The work dir holds checkpoints, but none to continue from.
    """
    config.launcher = launcher
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(config.filename).stem)
    if new:
        config.work_dir = numbered_work_dir(config.work_dir, launcher)
    check_writable(config.work_dir)
    if amp is not None:
        use_amp(config, amp)
    _use_seed(config, seed)
    _use_start(config, resume)
    add_test_loop(config)
    for hook in hooks_of_type(config, 'GracefulStop'):
        arguments = arguments or (str(config.filename),)
        hook['command'] = resume_command(arguments, launcher, config.work_dir if new else None)


def resume_command(
    arguments: Sequence[str], launcher: str = 'none', work_dir: str | None = None
) -> str:
    """What continues a run that was started with these arguments of `tools/train.py`.

    Args:
        arguments: The command line.
        launcher: `'none'`, `'pytorch'` or `'slurm'`.
        work_dir: The folder that `--new` chose; None without it.
    """
    replaced = ('--resume',) if work_dir is None else ('--resume', '--new', '--work-dir')
    kept: list[str] = []
    skip_value = False
    for argument in arguments:
        if skip_value and not argument.startswith('-'):
            skip_value = False
            continue
        name = argument.partition('=')[0]
        skip_value = argument in replaced and argument != '--new'
        if name not in replaced:
            kept.append(argument)
    kept += [] if work_dir is None else ['--work-dir', work_dir]
    command = typed(['tools/train.py', *kept, '--resume'])
    if launcher != 'pytorch':
        return command
    module = re.sub('^dsr-nss ', '-m dsr_nss ', command.removeprefix('python '))
    return f'torchrun --nproc_per_node {os.environ.get("LOCAL_WORLD_SIZE", "1")} {module}'


def use_amp(config: Config, amp: str) -> None:
    if amp not in AMP_TYPES:
        raise ConfigError(f'--amp must be one of {sorted(AMP_TYPES)}, got {amp!r}')
    wrapper = config.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AdaptiveAmpOptimWrapper'):
        raise ConfigError(f'--amp replaces a plain OptimWrapper; the config has a {wrapper.type}')
    wrapper.type = 'AdaptiveAmpOptimWrapper'
    wrapper.dtype = amp


def _use_seed(config: Config, typed: int | None) -> None:
    """`--seed` for all that is drawn; without it `randomness.seed` for what states none."""
    seed = config.get('randomness', {}).get('seed') if typed is None else typed
    if seed is None:
        return
    if not 0 <= seed < 2**32:  # what numpy takes
        raise ConfigError(f'--seed must be >= 0 and below 2**32, got {seed}')
    config.randomness = {**config.get('randomness', {}), 'seed': seed}
    dataset = config.train_dataloader.dataset
    fields = accepted_fields(DATASETS.get(dataset.type)) if DATASETS.get(dataset.type) else None
    seeded = hooks_of_type(config, 'SeedEachIteration')
    if 'seed' in dataset or (fields is not None and 'seed' in fields):
        seeded = [dataset, *seeded]
    for component in seeded:
        if typed is not None or component.get('seed') is None:
            component['seed'] = seed


def _use_start(config: Config, resume: str | None) -> None:
    """Resume, or start anew from `load_from` or from nothing."""
    if resume is None:
        if config.get('resume'):  # as the config of a resumed run has it, from which others start
            print_log('resume = True of the config is not read: --resume goes on with a run')
        config.resume = False
        return
    path = resume_point(config.work_dir) if resume == 'auto' else Path(resume)
    if path is None:
        print_log(f'{config.work_dir} holds no checkpoint yet: the run starts from the beginning')
        config.resume = False
        return
    if not path.exists():
        raise FileNotFoundError(f'checkpoint not found: {path}')
    config.resume = True
    config.load_from = str(path)


def train(config: Config, allow_changes: bool = False) -> Path | None:
    """Runs the training that the config describes.

    Args:
        config: What `configure_run` made ready.
        allow_changes: A resumed run may have another config than the run that it continues.

    Returns:
        The last checkpoint, or None when the run saved none.

    Raises:
        ConfigError: A component of the config cannot be built, another run has the work dir or left
            another config there, or torchrun started processes that the launcher does not join.
        CheckpointError: A new run would overwrite the checkpoints of an earlier one.
    """
    rank = launched_rank(config.get('launcher', 'none'))
    make_folder(config.work_dir)
    with RunLock(config.work_dir, rank) as lock:
        check_pointer(config.work_dir)
        if rank == 0:
            check_folder(config, allow_changes)
        try:
            runner = AdaptationRunner.from_cfg(config)
            runner.allow_changes = allow_changes
            lock.join()
            runner.train()
        except (TypeError, KeyError, ConfigError) as error:
            message = build_problem(error, config)
            if message is None:
                raise
            raise ConfigError(message) from error
        except OSError as error:  # a log, for instance, which does not say its own name
            if error.errno not in DISK_FULL or isinstance(error, StorageError):
                raise
            raise storage_error(Path(config.work_dir) / 'its logs', error) from error
    # of an older checkpoint that was resumed, what lies behind it is not this run's
    last = Path(runner.work_dir) / f'iter_{runner.iter}.pth'
    return last if last.is_file() else latest_checkpoint(runner.work_dir)


def build_problem(error: Exception, config: Config) -> str | None:
    """A sentence for a part of the config that cannot be built; None for any other error."""
    if isinstance(error, ConfigError):
        return _located(str(error), config)
    return _build_error(str(error))


def _located(message: str, config: Config) -> str:
    """The message of a constructor, `Class: ...` or `Class.field ...`, with its place before it."""
    name = re.match(r'(\w+)[.:]', message)
    parts = components(config._cfg_dict, '')
    places = [path for path, part in parts if name is not None and part['type'] == name[1]]
    return f'{" or ".join(places)}: {message}' if places else message


def _build_error(text: str) -> str | None:
    """A sentence for a component that cannot be built; None for any other error."""
    field = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text)
    if field is not None:
        return f'the config gives {field[1]} the field {field[2]!r}, which it does not have'
    missing = re.search(r'(\w+)\.__init__\(\) missing \d+ required .*arguments?: (.*)', text)
    if missing is not None:
        return f'the config does not give {missing[1]} the required field(s) {missing[2]}'
    unknown = re.search(r'(\w+) is not in the \w+::([\w ]+) registry', text)
    if unknown is not None:
        return f'the config names {unknown[1]!r}, but no {unknown[2]} of that name is registered'
    return None


def explain(error: Exception, debug: bool = False) -> int:
    """Prints the error that ends a command line; returns the exit status, or raises to debug."""
    if debug:
        raise error
    print(f'error: {printable(short_message(error))}', file=sys.stderr)  # it may quote a file
    return 2


def short_message(error: Exception) -> str:
    """The message of an error without the traceback that a loader's worker puts before it."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f'{error.filename}: {error.strerror}'
    name = type(error).__name__
    if 'DataLoader worker' in text and f'{name}: ' in text:
        text = text[text.rindex(f'{name}: ') + len(name) + 2 :]
    return text
