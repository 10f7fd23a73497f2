"""The wheel, installed and used in a folder that is no checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsr_nss.commands import COMMANDS

SOURCES = ('dsr_nss', 'configs', 'tools')
FILES = ('setup.py', 'pyproject.toml', 'requirements.txt', 'README.md', 'LICENSE')
CONFIG = """
_base_ = 'dsr_nss::demo/dsr_hrda_nightscape.py'
custom_imports = dict(imports=['my_module'])
_folder = dict(_delete_=True, type='FolderDataset', data_root='data', images='images')
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(
    crop_size=(64, 64), rare_class_sampling=None,
    source=dict(**_folder, labels='labels'), target=dict(**_folder, references='images')))
val_dataloader = val_evaluator = val_cfg = None
default_test_sets = []
"""


@pytest.fixture(scope='module')
def installed(repo_root, tmp_path_factory):
    """Folder of the installed package; its `bin` has the command."""
    folder = tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(repo_root / name, folder / 'source' / name, ignore=ignored)
    for name in FILES:
        shutil.copy(repo_root / name, folder / 'source')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q']
    offline = ['--no-deps', '--no-index']
    for words in (
        ['wheel', *offline, '--no-build-isolation', '-w', folder, folder / 'source'],
        ['install', *offline, '--target', folder / 'site', '--find-links', folder, 'dsr_nss'],
    ):
        subprocess.run([*pip, *map(str, words)], check=True, capture_output=True, timeout=900)
    return folder / 'site'


@pytest.fixture
def call(installed, tmp_path):
    """Runs the command in an empty folder; returns its exit status and what it printed."""
    env = {**os.environ, 'PYTHONPATH': str(installed)}

    def run(*words):
        done = subprocess.run(
            [sys.executable, installed / 'bin/dsr-nss', *words],
            capture_output=True, text=True, cwd=tmp_path, env=env, timeout=900,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_wheel_brings_all_configs_and_tools(installed, repo_root, call):
    for folder, kinds in (('configs', ('.py', '.yml', '.safetensors')), ('tools', ('.py', '.sh'))):
        ours, theirs = (
            {p.relative_to(root) for p in root.rglob('*') if p.suffix in kinds}
            for root in (repo_root / folder, installed / 'dsr_nss/.mim' / folder)
        )
        assert ours == theirs and len(ours) > 10
    assert (installed / 'dsr_nss/web/page.css').is_file()
    code, said = call('--help')
    assert code == 0 and all(f'\n  {name} ' in said for name in COMMANDS)
    assert str(installed / 'dsr_nss/.mim/configs') in said


def test_a_config_of_ones_own_is_examined_and_trained(call, tmp_path, rng):
    (tmp_path / 'mine.py').write_text(CONFIG)
    (tmp_path / 'my_module.py').write_text('import dsr_nss\nprint("package:", dsr_nss.__file__)')
    for folder, shape in (('images', (64, 96, 3)), ('labels', (64, 96))):
        (tmp_path / 'data' / folder).mkdir(parents=True)
        for i in range(2):
            pixels = rng.integers(0, 19, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'data' / folder / f'{i}.png')
    code, said = call('doctor', 'mine.py')
    assert code == 0, said
    code, said = call(
        'train', 'mine.py', '--with', 'dsr_nss::ablations/no_bank', '--max-iters', '2'
    )
    assert code == 0, said
    work_dir = Path('work_dirs/mine-no_bank')
    assert f'dsr-nss test {tmp_path / work_dir}' in said
    assert (tmp_path / work_dir / 'iter_2.pth').is_file()
    assert '.mim' not in said and 'package: ' in said
    assert Path(said.partition('package: ')[2].split('\n')[0]).parents[1].name == 'site'
