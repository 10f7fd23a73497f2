"""Does what is missing of many runs: side by side, resumable, each failure on its own."""

import fcntl
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from dsr_nss.pool import usable_cores
from dsr_nss.studies.tables.runs import ROOT, Run, shown
from dsr_nss.studies.tables.state import (
    State,
    inspect,
    missing_for_test,
    missing_for_training,
    note_end,
    note_start,
)

#: Share of a run's time that the bar gives to the training; the rest is for its tests.
_TRAINING_SHARE = 0.9
_POLL_SECONDS = 1.0
#: How much of a failed step's log is shown.
_LOG_LINES = 12
#: mmengine's config reader is not made for threads.
_reading = threading.Lock()


class StepFailed(Exception):
    """A training or test did not do what it should; the message says which and why."""


class Stopped(Exception):
    """The user asked to stop."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: The run.
        error: What went wrong, or None.
        stopped: Whether it was asked to stop before it was done.
    """

    run: Run
    error: str | None = None
    stopped: bool = False


class Execution:
    """Trains and tests runs through the ordinary command lines.

    The first Ctrl-C (or SIGTERM) asks every training to save and end, the second one kills them.

    Args:
        jobs: Processes side by side; each gets its share of the cores, and in turn one of the GPUs.
        tools: Folder that holds the `tools/` and `configs/` of the command lines.
    """

    def __init__(self, *, jobs: int = 1, tools: Path = ROOT) -> None:
        if jobs < 1:
            raise ValueError(f'jobs must be >= 1, got {jobs}')
        self.jobs = jobs
        self.tools = tools
        self.stopping = False
        self._children: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._devices: queue.Queue[str | None] = queue.Queue()
        devices = visible_devices()
        for slot in range(jobs):
            self._devices.put(devices[slot % len(devices)] if devices else None)

    def execute(
        self, runs: Sequence[Run], finished: Callable[[Outcome], None] = lambda outcome: None
    ) -> list[Outcome]:
        """Do everything that the runs lack.

        Args:
            runs: The runs that `plan` returned.
            finished: Called in this thread after each run.

        Returns:
            One outcome for each run, in the order they ended.
        """
        outcomes: list[Outcome] = []
        with self._signals(), ThreadPoolExecutor(self.jobs) as pool, _bar(runs) as bar:
            pending: dict[Future[None], Run] = {pool.submit(self._work, run): run for run in runs}
            while pending:
                done, _ = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    outcome = _outcome(pending.pop(future), future)
                    outcomes.append(outcome)
                    finished(outcome)
                share = sum(map(training_share, pending.values()))
                bar.set_description(f'{len(outcomes)}/{len(runs)} runs', refresh=False)
                bar.update(max(0.0, len(outcomes) + share - bar.n))
        return outcomes

    # --- one run -------------------------------------------------------------------------------

    def _work(self, run: Run) -> None:
        if self.stopping:
            raise Stopped
        device = self._devices.get()
        try:
            with _locked(run) as lock:
                state = self._train(run, device, lock)
                self._test(run, state, device, lock)
        finally:
            self._devices.put(device)

    def _train(self, run: Run, device: str | None, lock: int) -> State:
        state = _inspect(run)
        if not state.trained:
            with _reading:
                _require(missing_for_training(run), run)
                if not state.done:
                    note_start(run)
            log = run.folder / 'train.log'
            command = run.train_command(resume=state.done > 0)
            status = self._call(command, log, device, lock)
            state = _inspect(run)
            if not state.trained:
                self._fail(command, status, log)
        if state.checkpoint is not None:
            with _reading:
                note_end(run, state.checkpoint)
        return state

    def _test(self, run: Run, state: State, device: str | None, lock: int) -> None:
        errors = []
        for name in state.missing:
            try:
                self._test_on(run, state.checkpoint, name, device, lock)
            except StepFailed as error:
                errors.append(str(error))  # another set may be there
        if errors:
            raise StepFailed('\n'.join(errors))

    def _test_on(
        self, run: Run, checkpoint: Path | None, name: str, device: str | None, lock: int
    ) -> None:
        if checkpoint is None:
            raise StepFailed(
                f'{run.folder} has no checkpoint any more and no scores on {name}: move it away to '
                'train it anew'
            )
        with _reading:
            _require(missing_for_test(run, name), run)
        log = run.folder / f'test-{name}.log'
        command = run.test_command(checkpoint, name)
        status = self._call(command, log, device, lock)
        if name in _inspect(run).missing:
            self._fail(command, status, log)

    def _fail(self, command: Sequence[str], status: int, log: Path) -> None:
        if self.stopping:
            raise Stopped
        raise StepFailed(
            f'status {status} of: {shown(command)}\n{log} ends with:\n{_tail(log, _LOG_LINES)}'
        )

    # --- processes -----------------------------------------------------------------------------

    def _call(self, command: Sequence[str], log: Path, device: str | None, lock: int) -> int:
        """Run a command line with its output in a file; returns its exit status."""
        environment = dict(os.environ)
        environment.setdefault('OMP_NUM_THREADS', str(max(1, usable_cores() // self.jobs)))
        if device is not None:
            environment['CUDA_VISIBLE_DEVICES'] = device
        with log.open('a', encoding='utf-8') as output:
            print(f'$ {shown(command)}', file=output, flush=True)
            with self._lock:
                if self.stopping:
                    raise Stopped
                child = subprocess.Popen(
                    [sys.executable, *self._absolute(command)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # Ctrl-C reaches it through `_on_signal` alone
                    pass_fds=(lock,),  # it stays locked if this process is killed
                )
                self._children.add(child)
            try:
                return child.wait()
            finally:
                with self._lock:
                    self._children.discard(child)

    def _absolute(self, command: Sequence[str]) -> list[str]:
        inside = ('tools/', 'configs/')
        return [str(self.tools / part) if part.startswith(inside) else part for part in command]

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals
            return
        handled = (signal.SIGINT, signal.SIGTERM)
        previous = [signal.signal(number, self._on_signal) for number in handled]
        try:
            yield
        finally:
            for number, handler in zip(handled, previous, strict=True):
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        again, self.stopping = self.stopping, True
        # no lock: a handler that waits for one held by its own thread would wait for ever
        for child in list(self._children):
            if child.poll() is None:
                if again:
                    os.killpg(child.pid, signal.SIGKILL)
                else:
                    child.send_signal(signal.SIGINT)
        tqdm.write(
            'killed' if again else 'stopping: trainings save a checkpoint (Ctrl-C again kills them)'
        )


def visible_devices() -> list[str]:
    """Values for `CUDA_VISIBLE_DEVICES` that each give one of the visible GPUs."""
    chosen = os.environ.get('CUDA_VISIBLE_DEVICES')
    if chosen:
        return [part for part in chosen.split(',') if part]
    return [str(i) for i in range(torch.cuda.device_count())]


def training_share(run: Run) -> float:
    """How much of a started run is done, in [0, 1), as its log says."""
    found = re.findall(r'Iter (\d+)/(\d+)', _tail(run.folder / 'train.log', 40))
    if not found:
        return 0.0
    done, total = map(int, found[-1])
    return _TRAINING_SHARE * min(1.0, done / total)


def _bar(runs: Sequence[Run]) -> tqdm:
    return tqdm(
        total=len(runs),
        initial=sum(map(training_share, runs)),
        smoothing=0,  # the time left follows from the mean pace
        bar_format='{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left',
        disable=None,  # no bar without a terminal
    )


def _outcome(run: Run, future: Future[None]) -> Outcome:
    error = future.exception()
    if error is None:
        return Outcome(run)
    if isinstance(error, Stopped):
        return Outcome(run, stopped=True)
    text = str(error) if isinstance(error, StepFailed) else f'{type(error).__name__}: {error}'
    return Outcome(run, error=text)


def _inspect(run: Run) -> State:
    with _reading:
        state = inspect(run)
    if state.problem is not None:
        raise StepFailed(state.problem)
    return state


def _require(missing: Sequence[str], run: Run) -> None:
    if missing:
        raise StepFailed(
            f'not found: {", ".join(missing)}; `python tools/check_data.py {run.config}` says '
            'where to get what is missing'
        )


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


def _tail(path: Path, lines: int) -> str:
    if not path.is_file():
        return ''
    with path.open('rb') as file:
        file.seek(max(0, path.stat().st_size - 200 * lines))
        text = file.read().decode('utf-8', errors='replace')
    return '\n'.join([line for line in text.splitlines() if line.strip()][-lines:])
