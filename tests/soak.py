"""Long runs that are killed, and long runs that must not grow: `make soak`.

    python -m tests.soak [--kills N] [--steps N] [--predictions N] [--seed N] [--out DIR]

1. A training is killed at random moments and resumed until N kills are done, by one process and by
   two; its last checkpoint must equal that of an unbroken one, tensor by tensor.
2. N training steps and N predictions must not grow in memory, open files or files on disk.

Prints what it measured; the exit status is 1 if something differs or grows. The processes are
forked, so that the imports are paid once, and only those are killed.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmseg.utils import register_all_modules

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.engine.config import read_config
from dsr_nss.engine.launch import configure_run, train
from dsr_nss.engine.resume_points import checkpoints_of
from dsr_nss.inference.files import infer
from dsr_nss.inference.load import read_model_config
from tests import tiny_segmentor

sys.path.insert(0, str(Path(__file__).parent / 'engine'))

import toy_adaptation  # noqa: E402

#: Iterations of a training that is killed, and between two of its checkpoints.
LENGTH, INTERVAL = 60, 4
#: Memory may grow by this share between the second and the last quarter of a run.
GROWTH = 0.05


# --- kills ---------------------------------------------------------------------------------------


def start(body: Callable[[], Any], log: Path) -> int:
    """Runs `body` in a forked process, its output in a file; returns the pid."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)  # its workers can be killed with it
    with log.open('ab') as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        body()
        os._exit(0)
    except BaseException as error:
        print(f'{type(error).__name__}: {error}', flush=True)
        os._exit(1)


def training(config: Path, out: Path, rank: int, world: int, port: int, resume: bool) -> None:
    torch.set_num_threads(1)
    if world > 1:
        os.environ.update(
            MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), RANK=str(rank), LOCAL_RANK=str(rank),
            WORLD_SIZE=str(world), LOCAL_WORLD_SIZE=str(world),
        )  # fmt: skip
    loaded = read_config(config)
    configure_run(
        loaded, work_dir=str(out), resume='auto' if resume else None,
        launcher='pytorch' if world > 1 else 'none',
    )  # fmt: skip
    train(loaded)


def killed_training(
    config: Path, out: Path, world: int, kills: int, rng: random.Random
) -> Iterator[str]:
    """Kills a training again and again; yields one line for each life."""
    done, life = 0, 0
    while True:
        life += 1
        port = 20000 + (os.getpid() * 31 + life + 1000 * world) % 20000
        log = out.with_suffix('.log')
        out.mkdir(exist_ok=True)
        pids = [
            start(partial(training, config, out, rank, world, port, True), log)
            for rank in range(world)
        ]
        at_once = rng.random() < 0.2  # while it starts, or reads the checkpoint
        if done < kills and (at_once or wait_for(out, pids)):
            time.sleep(rng.uniform(0, 3 if at_once else 0.6))
            victims = rng.sample(pids, rng.randint(1, world))  # one alone, or all at once
            for pid in victims:
                os.killpg(pid, signal.SIGKILL)
            done += 1
            time.sleep(rng.uniform(0, 0.2))
            for pid in set(pids) - set(victims):
                os.killpg(pid, signal.SIGKILL)
            for pid in pids:
                os.waitpid(pid, 0)
            newest = next((path.name for path in checkpoints_of(out)), 'no checkpoint')
            yield f'kill {done} with {world} process(es): {newest}'
            if newest == f'iter_{LENGTH}.pth':  # it had ended: another one for the other kills
                return
            continue
        status = [os.waitpid(pid, 0)[1] for pid in pids]
        if any(status):
            raise SystemExit(f'a resumed training failed: {log.read_text()[-2000:]}')
        yield f'ended after {done} kills'
        return


def wait_for(out: Path, pids: list[int]) -> bool:
    """Until the training has begun to write checkpoints again; False if it ended before."""
    before = {path.name for path in checkpoints_of(out)}
    until = time.monotonic() + 300
    while time.monotonic() < until:
        if {path.name for path in checkpoints_of(out)} - before:
            return True
        if all(_ended(pid) for pid in pids):
            return False
        time.sleep(0.02)
    raise SystemExit('a training did not begin within five minutes')


def _ended(pid: int) -> bool:
    return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'


def tensors(content: Any, name: str = '') -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors of a checkpoint by name."""
    if isinstance(content, torch.Tensor):
        yield name, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from tensors(value, f'{name}.{key}')
    elif isinstance(content, (list, tuple)):
        for i, value in enumerate(content):
            yield from tensors(value, f'{name}.{i}')


def soak_kills(folder: Path, world: int, kills: int, rng: random.Random) -> bool:
    """Whether trainings that were killed end as the unbroken one."""
    config = folder / 'toy.py'
    text = toy_adaptation.CONFIG.replace('max_iters=6', f'max_iters={LENGTH}')
    text = text.replace('interval=3', f'interval={INTERVAL}').replace(
        "type='ToyAdaptation',", "type='ToyAdaptation', sleep=0.02,"
    )
    config.write_text(text)
    whole, port = folder / f'whole_{world}', 41000 + os.getpid() % 5000 + world
    pids = [
        start(partial(training, config, whole, rank, world, port, False), folder / 'whole.log')
        for rank in range(world)
    ]
    if any(os.waitpid(pid, 0)[1] for pid in pids):
        raise SystemExit((folder / 'whole.log').read_text()[-2000:])
    expected = dict(tensors(load_checkpoint_file(whole / f'iter_{LENGTH}.pth')))
    done, runs, compared = 0, 0, 0
    while done < kills:
        runs += 1
        out = folder / f'killed_{world}_{runs}'
        for line in killed_training(config, out, world, kills - done, rng):
            print(f'  run {runs}: {line}', flush=True)
            done += line.startswith('kill')
        found = dict(tensors(load_checkpoint_file(out / f'iter_{LENGTH}.pth')))
        different = [
            k for k, v in expected.items() if k not in found or not torch.equal(v, found[k])
        ]
        if different or found.keys() != expected.keys():
            print(f'DIFFERENT after run {runs}: {different[:5]}')
            return False
        compared += len(expected)
    print(f'{done} kills in {runs} run(s) of {world} process(es): 0 of {compared} tensors differ')
    return True


# --- growth --------------------------------------------------------------------------------------


class Watch:
    """Memory and open files of this process, twice a second."""

    def __enter__(self) -> 'Watch':
        self.samples: list[tuple[int, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        page = os.sysconf('SC_PAGE_SIZE')
        while not self._stop.wait(0.5):
            resident = int(Path('/proc/self/statm').read_text().split()[1]) * page
            self.samples.append((resident, len(os.listdir('/proc/self/fd'))))

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def steady(self, what: str) -> bool:
        """Whether the last quarter is as the second one."""
        quarter = max(1, len(self.samples) // 4)
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        memory = [median(s[0] for s in part) / 2**20 for part in (early, late)]
        handles = [median(s[1] for s in part) for part in (early, late)]
        print(
            f'{what}: memory {memory[0]:.1f} -> {memory[1]:.1f} MiB, open files '
            f'{handles[0]:.0f} -> {handles[1]:.0f} ({len(self.samples)} samples)',
            flush=True,
        )
        return memory[1] <= memory[0] * (1 + GROWTH) and handles[1] <= handles[0]


def soak_steps(folder: Path, steps: int) -> bool:
    """A training of many steps with workers; files are its checkpoints and nothing else."""
    config = folder / 'long.py'
    config.write_text(
        toy_adaptation.CONFIG.replace('max_iters=6', f'max_iters={steps}')
        .replace('interval=3', 'interval=100, max_keep_ckpts=2')
        .replace('num_workers=0', 'num_workers=1, persistent_workers=True')
    )
    loaded = read_config(config)
    configure_run(loaded, work_dir=str(folder / 'long'))
    with Watch() as watch:
        train(loaded)
    kept = checkpoints_of(folder / 'long')
    left = [path.name for path in (folder / 'long').glob('.*') if path.name != '.train.lock']
    print(f'{steps} steps: {len(kept)} checkpoints and {len(left)} temporary files are left')
    return watch.steady(f'{steps} steps') and len(kept) == 2 and not left


def soak_predictions(folder: Path, number: int) -> bool:
    """Many images through a network."""
    tiny_segmentor.write_folders(folder / 'data')
    images = sorted((folder / 'data/images').rglob('*.jpg'))
    many = folder / 'many'
    many.mkdir()
    for i in range(number):
        os.link(images[i % len(images)], many / f'{i:05d}.jpg')
    config = folder / 'segmentor.py'
    config.write_text(tiny_segmentor.CONFIG.replace('ROOT', str(folder / 'data')))
    checkpoint = folder / 'segmentor.pth'
    torch.save(dict(state_dict=tiny_segmentor.make_segmentor(config).state_dict()), checkpoint)
    with Watch() as watch:
        infer(read_model_config(config), checkpoint, [many], folder / 'out', device='cpu')
    written = sum(1 for path in (folder / 'out').rglob('*.png') if not path.name.startswith('.'))
    left = [path for path in (folder / 'out').rglob('.*') if path.is_file()]
    print(f'{number} predictions: {written} pictures and {len(left)} temporary files')
    return watch.steady(f'{number} predictions') and written == 2 * number and not left


def main() -> int:
    parser = argparse.ArgumentParser(description='Kill and watch long runs.')
    parser.add_argument('--kills', type=int, default=30, help='by each number of processes')
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--predictions', type=int, default=5000)
    parser.add_argument('--seed', type=int, default=0, help='of the moments of the kills')
    parser.add_argument('--out', type=Path, help='folder that is kept (default: a temporary one)')
    args = parser.parse_args()
    torch.set_num_threads(1)
    register_all_modules(init_default_scope=True)  # as every config does
    rng = random.Random(args.seed)
    folder = args.out or Path(tempfile.mkdtemp(prefix='soak_'))
    folder.mkdir(parents=True, exist_ok=True)
    good = [soak_kills(folder, world, args.kills, rng) for world in (1, 2) if args.kills]
    pids = []
    for body in (soak_steps, soak_predictions):
        number = args.steps if body is soak_steps else args.predictions
        if number:
            pid = os.fork()  # a process of its own, whose memory is not that of the others
            if not pid:
                os._exit(0 if body(folder, number) else 1)
            pids.append(os.waitpid(pid, 0)[1])
    if args.out is None:
        shutil.rmtree(folder)
    return 0 if all(good) and not any(pids) else 1


if __name__ == '__main__':
    sys.exit(main())
