"""Stand-ins for the two command lines that train and test nothing, in a folder like a checkout."""

import copy
import json
from pathlib import Path

import pytest
import torch

from dsr_nss.engine.launch import configure_run
from dsr_nss.studies.tables.runs import Run

TRAIN = """
import argparse, json, os, pathlib, shutil, signal, sys, time
parser = argparse.ArgumentParser()
parser.add_argument('config')
for name in ('--work-dir', '--seed', '--amp', '--max-iters'):
    parser.add_argument(name)
parser.add_argument('--resume', action='store_true')
for name in ('--with', '--cfg-options'):
    parser.add_argument(name, nargs='+')
args = parser.parse_args()
here = pathlib.Path(__file__).parent
behaviour = json.loads((here / 'behaviour.json').read_text())
work_dir = pathlib.Path(args.work_dir)
row = work_dir.name.rpartition('-')[0]
with (here / 'calls.txt').open('a') as file:
    print('train', work_dir.name, 'resume' if args.resume else 'new', file=file)
if row in behaviour.get('fail', ()):
    print('a line of the log')
    sys.exit('error: no memory left')
made = here / 'made' / work_dir.name
shutil.copy(made / 'whole.py', work_dir)


def save(iteration):
    shutil.copy(made / 'last.pth', work_dir / f'iter_{iteration}.pth')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / f'iter_{iteration}.pth'))


def stop(number, frame):
    save(2)
    sys.exit(128 + number)


if row in behaviour.get('wait', ()):
    signal.signal(signal.SIGINT, stop)
    (here / 'waiting').touch()
    time.sleep(60)
total = int((made / 'total').read_text())
print(f'Iter {total}/{total} eta 0:00:00')
save(total)
"""

TEST = """
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('checkpoint')
parser.add_argument('--dataset')
parser.add_argument('--json')
parser.add_argument('--batch-norms', default='plain')
parser.add_argument('--report')
parser.add_argument('--out')
for name in ('--with', '--cfg-options'):
    parser.add_argument(name, nargs='+')
args = parser.parse_args()
here = pathlib.Path(__file__).parent
behaviour = json.loads((here / 'behaviour.json').read_text())
name = pathlib.Path(args.checkpoint).parent.name
with (here / 'calls.txt').open('a') as file:
    norms = '' if args.batch_norms == 'plain' else f' {args.batch_norms}'
    print('test', name, args.dataset + norms, file=file)
if args.dataset in behaviour.get('fail', ()):
    sys.exit('error: a broken label')
score = behaviour['scores'][name.rsplit('-', 1)[0]] + int(name[-1])
score += {'plain': 0, 'adabn': 5, 'precise': 3}[args.batch_norms]
keys = ('mIoU', 'mIoU_official', 'mIoU_large_static', 'mIoU_dynamic', 'IoU/road')
scores = {f'{args.dataset}/{key}': score for key in keys}
scores[f'{args.dataset}/mIoU_small'] = None
if args.report:
    scores[f'{args.dataset}/boundary_IoU'] = score
    folder = pathlib.Path(args.report) / args.dataset
    folder.mkdir(parents=True, exist_ok=True)
    if args.dataset not in behaviour.get('no_report', ()):
        (folder / 'images.npz').touch()
out = pathlib.Path(args.json)
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps(scores | {'checkpoint': args.checkpoint}))
"""


class Stubs:
    """The folder with the stand-ins.

    Attributes:
        root: It, to be given as `tools`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tools = root / 'tools'
        self.tools.mkdir(parents=True)
        (self.tools / 'train.py').write_text(TRAIN)
        (self.tools / 'test.py').write_text(TEST)
        self.behave()

    def behave(self, **behaviour) -> None:
        """`scores`: row -> mIoU of seed 0; `fail`: rows or sets; `wait`: rows."""
        (self.tools / 'behaviour.json').write_text(json.dumps(behaviour))

    def prepare(self, runs: list[Run], batch_norms: bool = True) -> None:
        """Make what the trainer leaves: its whole config and a checkpoint."""
        for run in runs:
            config = copy.deepcopy(run.config())
            configure_run(config, work_dir=str(run.folder), seed=run.seed, amp=run.settings.amp)
            made = self.tools / 'made' / run.name
            made.mkdir(parents=True, exist_ok=True)
            config.dump(made / 'whole.py')
            total = config.train_cfg.max_iters
            (made / 'total').write_text(str(total))
            environment = {'git_commit': 'c0ffee1234', 'device': 'cpu'}
            meta = {'iter': total, 'environment': environment}
            student = f'student.norm.{"running_mean" if batch_norms else "weight"}'
            state = {student: torch.zeros(1), 'refinement.aligner.running_mean': torch.zeros(1)}
            torch.save({'meta': meta, 'state_dict': state}, made / 'last.pth')

    def calls(self) -> list[str]:
        """What was started since the last question, in order."""
        path = self.tools / 'calls.txt'
        lines = path.read_text().splitlines() if path.is_file() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stubs:
    """The stand-ins, started in a folder that has nightscape's folders."""
    monkeypatch.chdir(tmp_path)
    for name in ('cityscapes', 'dark_zurich', 'acdc', 'nighttime_driving'):
        (tmp_path / 'data/nightscape' / name).mkdir(parents=True)
    (tmp_path / 'data/nightscape/nightscape.json').write_text('{"seed": 0}')
    return Stubs(tmp_path / 'checkout')
