"""Does what is missing of many runs: side by side, resumable, each failure on its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from queue import SimpleQueue

import torch
from tqdm import tqdm

from dsr_nss.commands import typed
from dsr_nss.pool import patient_environment, usable_cores
from dsr_nss.shipped import ROOT
from dsr_nss.studies.tables.runs import Run, inspect, is_measured, located, note

#: How a run ended that was asked to stop before it was done.
STOPPED = 'stopped'
#: How much of a failed step's log is shown.
_LOG_LINES = 12


class StepFailed(Exception):
    """A training or test did not do what it should; the message says which and why."""


def execute(
    runs: Sequence[Run],
    *,
    jobs: int = 1,
    tools: Path = ROOT,
    finished: Callable[[Run, str | None], None] = lambda run, error: None,
) -> dict[Run, str | None]:
    """Do everything that the runs lack, through the ordinary command lines.

    The first Ctrl-C (or SIGTERM) asks every training to save and end, the second one kills them.

    Args:
        runs: The runs that `plan` returned.
        jobs: Processes side by side; each gets its share of the cores, and in turn one of the GPUs.
        tools: Folder that holds the `tools/` and `configs/` of the command lines.
        finished: Called after each run with what went wrong, None or `STOPPED`.

    Returns:
        The same of every run, in the order they ended.
    """
    for run in runs:
        run.config()  # here, not in a thread: reading a config imports what it names
    ended = {}
    processes = _Processes(jobs, tools)
    bar = tqdm(total=len(runs), unit='run', disable=None)  # no bar without a terminal
    with processes.heeding_signals(), bar, ThreadPool(jobs) as pool:
        for run, error in pool.imap_unordered(lambda run: (run, _do(run, processes)), runs):
            ended[run] = error
            finished(run, error)
            bar.update()
    return ended


def _do(run: Run, processes: '_Processes') -> str | None:
    """Do what a run lacks; what went wrong, None or `STOPPED`."""
    try:
        processes.require_going()
        run.folder.mkdir(parents=True, exist_ok=True)
        _train(run, processes)
        _test(run, processes)
    except StepFailed as error:
        return None if str(error) == STOPPED and inspect(run).finished else str(error)
    except Exception as error:  # of this run; the others go on
        return f'{type(error).__name__}: {error}'
    return None


def _train(run: Run, processes: '_Processes') -> None:
    state = inspect(run)
    if state.problem is None and not state.trained:
        note(run)
        failure = processes.call(run.train_command(state.done > 0), run.folder / 'train.log')
        state = inspect(run)
        if state.problem is None and not state.trained:
            raise StepFailed(failure)
    if state.problem is not None:
        raise StepFailed(state.problem)


def _test(run: Run, processes: '_Processes') -> None:
    checkpoint, missing = (state := inspect(run)).checkpoint, state.missing
    if checkpoint is None and missing:
        names = ', '.join(column.title for column in missing)
        remedy = f'no scores on {names}: move it away to train it anew'
        raise StepFailed(f'{run.folder} has no checkpoint any more and {remedy}')
    if checkpoint is None:
        return
    note(run, checkpoint)
    errors = []
    for column in inspect(run).missing:  # now it is known whether there are batch norms
        log = run.folder / f'test-{column.key}.log'
        failure = processes.call(run.test_command(checkpoint, column), log)
        if not is_measured(run, column, checkpoint):
            errors.append(failure)  # another set may be there
    if errors:
        raise StepFailed('\n'.join(errors))


class _Processes:
    """Command lines that run side by side and are stopped together."""

    def __init__(self, jobs: int, tools: Path) -> None:
        self.tools, self.threads, self.stops = tools, max(1, usable_cores() // jobs), 0
        self.running: set[subprocess.Popen] = set()
        self.gpus: SimpleQueue[str | None] = SimpleQueue()
        gpus: list[str | None] = [*visible_devices()] or [None]
        for slot in range(jobs):
            self.gpus.put(gpus[slot % len(gpus)])

    def require_going(self) -> None:
        """Raises `StepFailed` when the user has asked to stop."""
        if self.stops:
            raise StepFailed(STOPPED)

    def call(self, command: Sequence[str], log: Path) -> str:
        """Run a command line with its output in a file; how it ended, should it have failed."""
        self.require_going()
        gpu = self.gpus.get()
        environment = {'OMP_NUM_THREADS': str(self.threads), **patient_environment()}
        environment |= {'CUDA_VISIBLE_DEVICES': gpu} if gpu is not None else {}
        environment |= _path_of_modules()
        try:
            with log.open('a', encoding='utf-8') as output:
                print(f'$ {typed(command)}', file=output, flush=True)
                process = subprocess.Popen(
                    [sys.executable, *(located(part, self.tools) for part in command)],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # Ctrl-C reaches it through `request` alone
                )  # fmt: skip
            self.running.add(process)
            if self.stops:  # asked for while it was started
                process.send_signal(signal.SIGINT)
            status = process.wait()
            self.running.discard(process)
        finally:
            self.gpus.put(gpu)
        self.require_going()
        lines = log.read_text(encoding='utf-8', errors='replace').split('\n')
        end = '\n'.join([line for line in lines if line.strip()][-_LOG_LINES:])
        return f'status {status} of: {typed(command)}\n{log} ends with:\n{end}'

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Passes every Ctrl-C or SIGTERM on."""

        def request(number: int, frame: object) -> None:
            self.stops += 1
            first = 'stopping: trainings save a checkpoint (Ctrl-C again kills them)'
            tqdm.write(first if self.stops == 1 else 'killed')
            for process in list(self.running):
                if self.stops == 1:
                    process.send_signal(signal.SIGINT)
                elif process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

        before = {
            number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for process in list(self.running):  # after an error of ours
                process.send_signal(signal.SIGINT)


def _path_of_modules() -> dict[str, str]:
    """Where `dsr-nss` finds modules that a config names, the current folder, for a tool as well."""
    folder, given = os.getcwd(), os.environ.get('PYTHONPATH')
    if folder not in sys.path:
        return {}
    return {'PYTHONPATH': os.pathsep.join([given, folder] if given else [folder])}


def visible_devices() -> list[str]:
    """Values for `CUDA_VISIBLE_DEVICES` that each give one of the visible GPUs."""
    chosen = os.environ.get('CUDA_VISIBLE_DEVICES')
    if chosen:
        return [part for part in chosen.split(',') if part]
    return [str(i) for i in range(torch.cuda.device_count())]
