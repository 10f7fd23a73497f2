"""Curves from the scalars of a run."""

import json

import pytest

from dsr_nss.errors import DataError
from dsr_nss.visualization.curves import LINE_COLOURS, curve_figure, read_scalars, series, to_svg

KEY = 'dark_zurich_val/mIoU'


def write(folder, lines):
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(json.dumps(line) for line in lines))


def test_a_resumed_run_counts_the_later_file(tmp_path):
    write(tmp_path / '1/vis_data', [dict(step=i, loss_source=1.0) for i in (10, 20, 30)])
    write(tmp_path / '2/vis_data', [dict(step=i, loss_source=0.5) for i in (30, 40)])
    assert series(read_scalars(tmp_path), 'loss_source') == ([10, 20, 30, 40], [1.0, 1.0, 0.5, 0.5])


def test_lines_without_the_scalar_are_left_out(tmp_path):
    write(tmp_path / '1/vis_data', [dict(step=10, a=1), {'step': 20, KEY: 30.0}])
    assert series(read_scalars(tmp_path), KEY) == ([20], [30.0])


def test_figures_hold_the_values_of_the_runs_that_have_them():
    runs = [
        [{'step': 10, 'loss_source': 2.0, KEY: 5.0}],
        [],
        [{'step': 10, 'loss_source': 1.0, 'loss_mixed': 0.5, KEY: 20.0}],
    ]
    (axes,) = curve_figure(runs, KEY).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[5.0], [20.0]]
    assert [line.get_color() for line in axes.lines] == [LINE_COLOURS[0], LINE_COLOURS[2]]
    (axes,) = curve_figure(runs, 'loss_mixed').axes
    assert [line.get_color() for line in axes.lines] == [LINE_COLOURS[2]]
    assert to_svg(curve_figure(runs, KEY)) == to_svg(curve_figure(runs, KEY))


def test_an_untrained_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='has it been trained'):
        read_scalars(tmp_path)


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    write(tmp_path / '1/vis_data', [dict(step=10, a=1.0)])
    with (tmp_path / '1/vis_data/scalars.json').open('a') as file:
        file.write('\n{"step": 20, "a"')
    assert read_scalars(tmp_path) == [dict(step=10, a=1.0)]
    with (tmp_path / '1/vis_data/scalars.json').open('a') as file:
        file.write('\n{"step": 30, "a": 2.0}')
    with pytest.raises(DataError, match=r'scalars\.json: line 2 is damaged'):
        read_scalars(tmp_path)


def test_a_run_that_logged_nothing(tmp_path):
    write(tmp_path / '1/vis_data', [])
    with pytest.raises(FileNotFoundError, match='scalars.json is empty'):
        read_scalars(tmp_path)
