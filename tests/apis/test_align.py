"""Measuring an aligner: the numbers of flows that are known by construction, and the tool."""

import json
import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from dsr_nss.apis.align import (
    build_aligner,
    build_baseline,
    measure_alignment,
    rescaled,
)
from dsr_nss.engine.errors import ConfigError
from dsr_nss.models.refine import Alignment
from tests.datasets.test_alignment_truth import HEAD, make_truth
from tests.datasets.tiny_sets import write_image
from tests.models.matching.networks import TINY


class Shift(torch.nn.Module):
    """Everything moves by the same number of pixels; more confident on the left."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def forward(self, night, day):
        self.seen = night, day
        batch, _, height, width = night.shape
        shift = torch.tensor([self.x, self.y], dtype=torch.float32).view(1, 2, 1, 1)
        confidence = torch.linspace(0.9, 0.1, width).expand(batch, 1, height, width)
        return Alignment(shift.expand(batch, 2, height, width), confidence, torch.tensor([True]))


def test_flows_known_by_construction(tmp_path):
    """Pair i moves by (i, i) at two points; of no motion that is an error of i * sqrt(2)."""
    report = measure_alignment(build_baseline('identity'), 'nightscape', make_truth(tmp_path))
    errors = np.arange(4) * np.sqrt(2)
    assert (report.pairs, report.aligned) == (4, 4)
    assert report.scores['all'].aepe == pytest.approx(errors.mean())
    assert report.scores['all'].pixels == 8 and report.scores['visible'].pixels == 4
    assert report.scores['all'].pck == {1.0: 25.0, 3.0: 75.0, 5.0: 100.0}
    assert report.scores['all'].sparsification is None  # one confidence for all


def test_the_right_flow_has_no_error(tmp_path):
    report = measure_alignment(Shift(0, 0), 'nightscape', make_truth(tmp_path), limit=1)
    assert report.scores['all'].aepe == 0 and report.pairs == 1


def test_confidence_is_read_at_the_points(tmp_path):
    """Both points have one error, so any order leaves it: the curve is flat."""
    report = measure_alignment(Shift(0, 0), 'nightscape', make_truth(tmp_path))
    assert report.scores['all'].sparsification.curve == pytest.approx(np.ones(20))
    seen = []
    measure_alignment(
        Shift(0, 0), 'nightscape', tmp_path, watch=lambda m: seen.append(m.name), watched=2
    )
    assert seen == ['GOPR1_frame_000000', 'GOPR1_frame_000003']


def test_point_sets_are_measured_at_a_shorter_side_of_480(tmp_path):
    """Target 24x32 -> 480x640, twenty times; reference 48x60 -> 480x600, ten times."""
    for name, size in (('a', (48, 60)), ('b', (24, 32))):
        write_image(tmp_path / f'img/{name}.png', np.random.default_rng(0), size)
    (tmp_path / 'test6511.csv').write_text(HEAD + ',a.png,b.png,6;60;6,5;5;5,4;4;4,3;3;24\n')
    aligner = Shift(2, 3)
    report = measure_alignment(aligner, 'robotcar', tmp_path)
    assert aligner.seen[0].shape == aligner.seen[1].shape == (1, 3, 480, 640)
    # the second point lies outside of the reference, the third outside of the target
    assert report.scores['all'].pixels == 1
    # target (4, 3) -> (89.5, 69.5); found (91.5, 72.5), of 600 columns 92 * 15/16 - 0.5 = 85.75
    # true: (6, 5) -> (64.5, 54.5)
    assert report.scores['all'].aepe == pytest.approx(np.hypot(85.75 - 64.5, 72.5 - 54.5))


def test_resizing_keeps_the_corners_of_an_image():
    corners = np.array([[-0.5, -0.5], [31.5, 23.5], [15.5, 11.5]])
    expected = [[-0.5, -0.5], [63.5, 11.5], [31.5, 5.5]]
    assert rescaled(corners, (24, 32), (12, 64)).tolist() == expected


def test_a_trained_network_and_an_adaptations_aligner(tmp_path):
    config = Config(dict(model=dict(type='WarpConsistency', crop_size=(16, 32), pyramid=TINY)))
    with pytest.raises(ConfigError, match='CKPT'):
        build_aligner(config, None)
    torch.manual_seed(0)
    trained = MODELS.build(config.model)
    torch.save({'state_dict': trained.state_dict()}, tmp_path / 'net.pth')
    aligner = build_aligner(config, tmp_path / 'net.pth')
    for name, value in trained.network.state_dict().items():
        assert torch.equal(aligner.network.state_dict()[name], value), name
    adaptation = Config(
        dict(model=dict(type='DSRNSS', refinement=dict(aligner=dict(type='Identity'))))
    )
    assert type(build_aligner(adaptation, None)).__name__ == 'Identity'
    with pytest.raises(ConfigError, match='refinement.aligner'):
        build_aligner(Config(dict(model=dict(type='SourceOnly'))), None)


def run_tool(repo_root, monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['test_align.py', *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(repo_root / 'tools/test_align.py'), run_name='__main__')
    return stop.value.code


def test_tool_writes_table_numbers_and_pictures(repo_root, tmp_path, monkeypatch, capsys):
    make_truth(tmp_path / 'set')
    options = ['--data-root', tmp_path / 'set', '--json', tmp_path / 'a.json']
    code = run_tool(
        repo_root, monkeypatch, '--aligner', 'identity', *options, '--out', tmp_path / 'pictures'
    )
    assert code == 0
    assert '4 of 4 pairs aligned' in capsys.readouterr().out
    numbers = json.loads((tmp_path / 'a.json').read_text())
    assert numbers['visible/AEPE'] == pytest.approx(1.5 * np.sqrt(2))
    assert numbers['aligner'] == 'identity' and numbers['all/AUSE'] is None
    assert len(list((tmp_path / 'pictures').glob('GOPR1_*.png'))) == 4


def test_tool_explains_what_is_wrong(repo_root, tmp_path, monkeypatch, capsys):
    assert run_tool(repo_root, monkeypatch, '--data', 'nightscape') == 2
    code = run_tool(repo_root, monkeypatch, '--aligner', 'identity', '--data-root', tmp_path / 'no')
    assert code == 2
    assert str(tmp_path / 'no') in capsys.readouterr().err
