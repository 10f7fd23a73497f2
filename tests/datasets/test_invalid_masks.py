"""Masks of invalid pixels beside the labels."""

import numpy as np
import pytest
from PIL import Image

from dsr_nss.datasets.invalid_masks import invalid_mask_file, read_invalid_mask
from dsr_nss.errors import DataError


def save(path, values):
    Image.fromarray(np.array(values, np.uint8)).save(path)
    return path


def test_both_published_forms_read_the_same(tmp_path):
    label = tmp_path / 'GOPR0356_frame_000321_gt_labelTrainIds.png'
    assert invalid_mask_file(label) is None
    grey = save(tmp_path / 'GOPR0356_frame_000321_gt_invGray.png', [[0, 255]])
    assert invalid_mask_file(str(label)) == grey
    ids = save(tmp_path / 'GOPR0356_frame_000321_gt_invIds.png', [[0, 1]])
    assert invalid_mask_file(label) == ids
    for mask in (grey, ids):
        assert read_invalid_mask(mask).tolist() == [[False, True]]


def test_labels_of_other_sets_have_none(tmp_path):
    save(tmp_path / 'a_gt_invIds.png', [[0]])
    assert invalid_mask_file(tmp_path / 'a_gtFine_labelTrainIds.png') is None


def test_other_values_are_refused(tmp_path):
    mask = save(tmp_path / 'a_gt_invIds.png', [[0, 1, 255]])
    with pytest.raises(DataError, match=r'a_gt_invIds\.png: holds \[255\]; .* 1 \(invalid\)'):
        read_invalid_mask(mask)
