"""Measuring an aligner: the numbers of flows that are known by construction, and the tool."""

import json
import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from dsr_nss.errors import ConfigError, DataError
from dsr_nss.matching.evaluate import (
    build_aligner,
    build_baseline,
    measure_alignment,
    rescaled,
    trained_pyramid,
)
from dsr_nss.models.refine import Alignment
from tests.datasets.tiny_sets import write_image
from tests.matching.networks import TINY
from tests.matching.test_truth import HEAD, make_truth


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
    """Pair i moves by (i, 2i) at two points; of a motion of (0, 2) the errors follow by hand."""
    report = measure_alignment(build_baseline('identity'), 'nightscape', make_truth(tmp_path))
    errors = np.arange(4) * np.sqrt(5)
    assert (report.pairs, report.aligned) == (4, 4)
    assert report.scores['all'].aepe == pytest.approx(errors.mean())
    assert report.scores['all'].pixels == 8 and report.scores['visible'].pixels == 4
    assert report.scores['all'].pck == {1.0: 25.0, 3.0: 50.0, 5.0: 75.0}
    assert report.scores['all'].sparsification is None  # one confidence for all
    report = measure_alignment(Shift(0, 2), 'nightscape', tmp_path)
    errors = [np.hypot(i, 2 * i - 2) for i in range(4)]
    assert report.scores['all'].aepe == pytest.approx(np.mean(errors))


def test_the_right_flow_has_no_error(tmp_path):
    report = measure_alignment(Shift(0, 0), 'nightscape', make_truth(tmp_path), limit=1)
    assert report.scores['all'].aepe == 0 and report.pairs == 1


def test_pictures_are_of_evenly_spaced_pairs(tmp_path):
    make_truth(tmp_path)
    seen = []
    measure_alignment(
        Shift(0, 0), 'nightscape', tmp_path, watch=lambda m: seen.append(m.name), watched=2
    )
    assert seen == ['GOPR1_frame_000000', 'GOPR1_frame_000003']


@pytest.mark.parametrize('left, right', [(0.0, 6.0), (6.0, 0.0)])
def test_confidence_is_read_at_the_points(tmp_path, left, right):
    """Two points with different errors; `Shift` is more confident of the left one."""
    for name in 'ab':
        write_image(tmp_path / f'{name}.png', np.random.default_rng(0))
    flow, valid = np.zeros((2, 24, 32), np.float32), np.zeros((24, 32), bool)
    valid[3, 4] = valid[20, 25] = True
    flow[0, 3, 4], flow[0, 20, 25] = left, right
    np.savez(tmp_path / 'f.npz', flow=flow, valid=valid)
    (tmp_path / 'pairs.csv').write_text('target,reference,flow\na.png,b.png,f.npz\n')
    report = measure_alignment(Shift(0, 0), str(tmp_path / 'pairs.csv'))
    # what remains is the left point: no error, or twice the mean
    curve = report.scores['all'].sparsification.curve
    assert curve[0] == 1 and curve[-1] == (0.0 if left == 0 else 2.0)


def test_a_flow_of_another_size_is_refused(tmp_path):
    for name in 'ab':
        write_image(tmp_path / f'{name}.png', np.random.default_rng(0))
    np.savez(tmp_path / 'f.npz', flow=np.zeros((2, 32, 24), np.float32))
    (tmp_path / 'pairs.csv').write_text('target,reference,flow\na.png,b.png,f.npz\n')
    with pytest.raises(DataError, match='a.png is 24x32 .* its true flow is 32x24'):
        measure_alignment(Shift(0, 0), str(tmp_path / 'pairs.csv'))


def test_a_flow_that_is_not_finite_is_an_error_with_the_names(tmp_path):
    with pytest.raises(DataError, match='GOPR1_frame_000000.*not finite'):
        measure_alignment(Shift(np.nan, 0), 'nightscape', make_truth(tmp_path))


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
    with pytest.raises(ConfigError, match='Identity has no weights: leave CKPT out'):
        build_aligner(adaptation, tmp_path / 'net.pth')
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
    assert numbers['visible/AEPE'] == pytest.approx(1.5 * np.sqrt(5))
    assert numbers['aligner'] == 'Identity' and numbers['all/AUSE'] is None
    assert len(list((tmp_path / 'pictures').glob('GOPR1_*.png'))) == 4


def test_tool_explains_what_is_wrong(repo_root, tmp_path, monkeypatch, capsys):
    assert run_tool(repo_root, monkeypatch, '--data', 'nightscape') == 2
    code = run_tool(repo_root, monkeypatch, '--aligner', 'identity', '--data-root', tmp_path / 'no')
    assert code == 2
    assert str(tmp_path / 'no') in capsys.readouterr().err


def test_the_features_of_a_training_need_not_their_start(tmp_path):
    start, gone = tmp_path / 'start.pth', tmp_path / 'gone.pth'
    start.touch()
    there = dict(type='VGG', init_cfg=dict(type='Pretrained', checkpoint=str(start)))
    assert trained_pyramid(there) == there
    settings = dict(type='VGG', init_cfg=dict(type='Pretrained', checkpoint=str(gone)))
    assert trained_pyramid(settings) == dict(type='VGG')
    assert 'init_cfg' in settings  # the config stays as it is
    assert trained_pyramid(None) is None
    packaged = dict(type='BackbonePyramid', backbone=dict(type='EfficientNetLite0'))
    assert trained_pyramid(packaged)['backbone']['pretrained'] is False
    assert 'pretrained' not in packaged['backbone']
