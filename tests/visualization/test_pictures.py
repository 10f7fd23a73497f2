"""Panels, errors, tiles and colours: what is drawn is what was given."""

import numpy as np
import pytest
import torch

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.visualization import colourise, overlay, training_panel
from dsr_nss.visualization.comparison import ERROR_COLOUR, classes_present, error_picture
from dsr_nss.visualization.tiles import GAP, fit, tile

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def colours_of(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(int(v) for v in colour) for colour in np.unique(picture.reshape(-1, 3), axis=0)}


def test_labels_get_their_colours_and_ignore_its_own():
    picture = colourise(np.array([[0, 13, 255]]), PALETTE)
    assert tuple(picture[0, 0]) == PALETTE[0] and tuple(picture[0, 1]) == PALETTE[13]
    assert tuple(picture[0, 2]) not in PALETTE


def test_overlay_is_the_mean_and_leaves_ignored_pixels():
    image = np.full((1, 2, 3), 100, np.uint8)
    mixed = overlay(image, np.array([[0, 255]]), PALETTE)
    assert mixed[0, 0].tolist() == [114, 82, 114]  # (100 + 128) / 2, (100 + 64) / 2, ...
    assert mixed[0, 1].tolist() == [100, 100, 100]


def test_shrinking_a_label_picture_makes_up_no_colours():
    label = np.random.default_rng(0).integers(0, 19, (100, 150))
    small = fit(colourise(label, PALETTE), 40, labels=True)
    assert small.shape == (27, 40, 3)
    assert colours_of(small) <= set(PALETTE)
    assert fit(small, 40) is small


def test_tiles_stand_where_they_should():
    red, blue = np.zeros((20, 90, 3), np.uint8), np.zeros((20, 90, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    grid = tile([[red, blue]], ['a', 'b'])
    assert tuple(grid[-GAP - 1, GAP]) == (255, 0, 0)
    assert tuple(grid[-GAP - 1, 2 * GAP + 90]) == (0, 0, 255)
    with pytest.raises(ValueError, match='captions'):
        tile([[red]], ['a', 'b'])


def panel() -> dict[str, torch.Tensor]:
    pixels = torch.tensor([200.0, 100.0, 50.0]).view(1, 3, 1, 1).expand(2, 3, 80, 80)
    return dict(
        source_image=(pixels - MEAN) / STD,
        source_label=torch.full((2, 80, 80), 13),
        mask=torch.ones(2, 1, 80, 80, dtype=torch.bool),
        pseudo_label=torch.full((2, 80, 80), 10),
    )


def test_training_panel_shows_pixels_labels_and_mask():
    picture = training_panel(panel(), MEAN, STD, PALETTE)
    seen = colours_of(picture)
    assert {(200, 100, 50), PALETTE[13], PALETTE[10], (255, 255, 255)} <= seen
    one_less = panel()
    del one_less['mask']
    assert training_panel(one_less, MEAN, STD, PALETTE).shape[1] < picture.shape[1]
    with pytest.raises(ValueError, match='nothing to show'):
        training_panel({}, MEAN, STD, PALETTE)


def test_classes_present_are_those_of_all_maps():
    assert classes_present([np.array([[255, 18]]), np.array([[1, 1]])]) == [1, 18]


def test_errors_are_marked_and_ignored_pixels_are_none():
    image = np.full((40, 60, 3), 100, np.uint8)
    label = np.zeros((40, 60), np.uint8)
    label[:, 20:40] = 13
    label[:, 40:] = 255
    picture = error_picture(image, label, np.zeros_like(label), CLASSES, PALETTE, 'night/0')
    errors = picture[:, 3 * (60 + GAP) : -1]
    marked = (errors == ERROR_COLOUR).all(axis=2).sum()
    assert 40 * 20 <= marked < 40 * 20 + 300  # and the box of the legend
    assert ERROR_COLOUR not in PALETTE
