"""Figures of scores hold the figures that they were given."""

import numpy as np

from dsr_nss.visualization.scores import confusion_figure, save_png, uiou_figure


def test_confusion_shows_shares_of_the_labelled_pixels():
    confusion = np.array([[150, 50, 0], [0, 0, 0], [0, 1, 999]])
    figure = confusion_figure(confusion, ('road', 'pole', 'car'), 'night_val')
    (axes,) = figure.axes
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    assert texts.keys() == {'75', '25', '100', 'does not occur'}
    assert texts['75'] == (0, 0) and texts['25'] == (1, 0) and texts['100'] == (2, 2)
    assert texts['does not occur'][1] == 1
    assert [label.get_text() for label in axes.get_yticklabels()] == ['road', 'pole', 'car']


def test_uiou_shows_the_curve(tmp_path):
    thresholds, mean = np.array([0.25, 0.5, 1.0]), np.array([40.0, 44.0, 10.0])
    figure = uiou_figure(thresholds, mean, 31.3, 'night_val')
    (axes,) = figure.axes
    assert axes.lines[1].get_xydata().tolist() == np.stack([thresholds, mean], axis=1).tolist()
    assert {t.get_text() for t in axes.texts} == {'mIoU 40.0', '44.0 at 0.50'}
    assert '31.3' in axes.get_title(loc='left')
    save_png(figure, tmp_path / 'uiou.png')
    assert (tmp_path / 'uiou.png').read_bytes().startswith(b'\x89PNG')
