"""`tools/test_align.py` on a generated set: its numbers against the truth files."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from dsr_nss.nightscape import Settings, generate
from tests.reference.alignment import aepe, end_point_errors, pck


@pytest.fixture(scope='module')
def nightscape(tmp_path_factory):
    """Six pairs of 48x96 pixels."""
    root = tmp_path_factory.mktemp('nightscape') / 'set'
    generate(root, Settings(4, 3, (48, 96), (48, 96)), workers=1, show_progress=False)
    return root


def run(repo_root, *arguments):
    return subprocess.run(
        [sys.executable, str(repo_root / 'tools/test_align.py'), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )


def test_no_motion_errs_by_the_true_flow(repo_root, nightscape, tmp_path):
    numbers, pictures = tmp_path / 'numbers.json', tmp_path / 'pictures'
    options = ('--data', 'nightscape', '--data-root', nightscape, '--json', numbers)
    result = run(repo_root, '--aligner', 'identity', *options, '--out', pictures, '--pictures', '2')
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(numbers.read_text())
    files = sorted((nightscape / 'truth/flow').glob('*.npz'))
    assert found['pairs'] == len(files) == 6

    errors = {'all': [], 'visible': []}
    for file in files:
        truth = np.load(file)
        flow, valid = truth['flow'], truth['valid']
        for region, mask in (('all', valid), ('visible', valid & ~truth['occluded'])):
            errors[region].append(end_point_errors(np.zeros_like(flow), flow, mask))
    for region, images in errors.items():
        assert found[f'{region}/pixels'] == sum(map(len, images))
        assert found[f'{region}/AEPE'] == pytest.approx(aepe(images), rel=1e-9)
        for threshold in (1, 3, 5):
            expected = pck(images, threshold)
            assert found[f'{region}/PCK-{threshold}'] == pytest.approx(expected, rel=1e-9)
    assert found['all/pixels'] > found['visible/pixels'] > 0
    assert len(list(pictures.glob('*.png'))) == 2
