"""Does what is missing of many runs: side by side, resumable, each failure on its own."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm import tqdm

from dsr_nss.commands import typed
from dsr_nss.pool import usable_cores
from dsr_nss.shipped import ROOT
from dsr_nss.studies.tables.runs import Run, located
from dsr_nss.studies.tables.state import inspect, note, read_scores

#: How a run ended that was asked to stop before it was done.
STOPPED = 'stopped'
_POLL_SECONDS = 0.2
#: How much of a failed step's log is shown.
_LOG_LINES = 12


class StepFailed(Exception):
    """A training or test did not do what it should; the message says which and why."""


#: Starts a command line: arguments, log, and the descriptor that keeps the folder locked.
Start = Callable[[Sequence[str], Path, int], subprocess.Popen]


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
    gpus: list[str | None] = [*visible_devices()] or [None]
    free = [gpus[slot % len(gpus)] for slot in range(jobs)]
    threads = max(1, usable_cores() // jobs)
    waiting, active, ended = list(runs), list[_Job](), dict[Run, str | None]()
    bar = tqdm(total=len(runs), unit='run', disable=None)  # no bar without a terminal
    with _stop_requests() as stops, bar:
        heard = 0
        while waiting or active:
            while waiting and free:
                active.append(_Job(waiting.pop(0), free.pop(0), threads, tools))
            if len(stops) > heard:
                heard = len(stops)
                for job in active:
                    job.stop(kill=heard > 1)
            for job in [job for job in active if not job.proceed(stopping=bool(stops))]:
                active.remove(job)
                free.append(job.gpu)
                ended[job.run] = job.error
                finished(job.run, job.error)
                bar.update()
            time.sleep(_POLL_SECONDS if active else 0)
    return ended


class _Job:
    """A run that is worked on, one process after the other; `error` is how it ended."""

    def __init__(self, run: Run, gpu: str | None, threads: int, tools: Path) -> None:
        self.run, self.gpu, self.tools = run, gpu, tools
        self.environment = {'OMP_NUM_THREADS': str(threads), **os.environ}
        if gpu is not None:
            self.environment['CUDA_VISIBLE_DEVICES'] = gpu
        self.steps = _steps(run, self.start)
        self.child: subprocess.Popen | None = None
        self.error: str | None = None

    def proceed(self, stopping: bool) -> bool:
        """Start the next process if the last one has ended; whether there is one."""
        if self.child is not None and self.child.poll() is None:
            return True
        try:
            if stopping:
                self.steps.close()
                self.error = None if inspect(self.run).finished else STOPPED
                return False
            self.child = self.steps.send(None if self.child is None else self.child.returncode)
            return True
        except StopIteration:
            pass
        except Exception as error:  # of this run; the others go on
            failed = isinstance(error, StepFailed)
            self.error = str(error) if failed else f'{type(error).__name__}: {error}'
        return False

    def start(self, command: Sequence[str], log: Path, lock: int) -> subprocess.Popen:
        """Run a command line with its output in a file."""
        with log.open('a', encoding='utf-8') as output:
            print(f'$ {typed(command)}', file=output, flush=True)
            return subprocess.Popen(
                [sys.executable, *(located(part, self.tools) for part in command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,  # Ctrl-C reaches it through `stop` alone
                pass_fds=(lock,),  # the folder stays locked if this process is killed
            )

    def stop(self, kill: bool) -> None:
        """Ask the process to save and end, or end it."""
        if self.child is not None and self.child.poll() is None:
            if kill:
                os.killpg(self.child.pid, signal.SIGKILL)
            else:
                self.child.send_signal(signal.SIGINT)


def _steps(run: Run, start: Start) -> Generator[subprocess.Popen, int | None, None]:
    """The processes that a run lacks, each sent its exit status; raises when one did not do it."""
    with _locked(run) as lock:
        state, log = inspect(run), run.folder / 'train.log'
        if state.problem is None and not state.trained:
            note(run)
            command = run.train_command(resume=state.done > 0)
            status = yield start(command, log, lock)
            state = inspect(run)
            if state.problem is None and not state.trained:
                raise StepFailed(_failure(command, status, log))
        if state.problem is not None:
            raise StepFailed(state.problem)
        if state.checkpoint is None:
            if not state.missing:
                return
            raise StepFailed(
                f'{run.folder} has no checkpoint any more and no scores on '
                f'{", ".join(state.missing)}: move it away to train it anew'
            )
        note(run, state.checkpoint)
        errors = []
        for name in state.missing:
            command, log = run.test_command(state.checkpoint, name), run.folder / f'test-{name}.log'
            status = yield start(command, log, lock)
            if read_scores(run, name) is None:
                errors.append(_failure(command, status, log))  # another set may be there
        if errors:
            raise StepFailed('\n'.join(errors))


def _failure(command: Sequence[str], status: int | None, log: Path) -> str:
    lines = log.read_text(encoding='utf-8', errors='replace').split('\n')
    end = '\n'.join([line for line in lines if line.strip()][-_LOG_LINES:])
    return f'status {status} of: {typed(command)}\n{log} ends with:\n{end}'


@contextmanager
def _locked(run: Run) -> Iterator[int]:
    """Hold the run's folder; two trainings in one folder would spoil each other."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / '.lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StepFailed(f'another process works in {run.folder}') from error
        yield file.fileno()


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """A list that grows with every Ctrl-C or SIGTERM."""
    requests: list[int] = []

    def request(number: int, frame: object) -> None:
        requests.append(number)
        first = 'stopping: trainings save a checkpoint (Ctrl-C again kills them)'
        tqdm.write(first if len(requests) == 1 else 'killed')

    handled = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, request) for number in handled]
    try:
        yield requests
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)


def visible_devices() -> list[str]:
    """Values for `CUDA_VISIBLE_DEVICES` that each give one of the visible GPUs."""
    chosen = os.environ.get('CUDA_VISIBLE_DEVICES')
    if chosen:
        return [part for part in chosen.split(',') if part]
    return [str(i) for i in range(torch.cuda.device_count())]
