"""The true flow of a crop is found by the crop's pixels."""

import numpy as np
import pytest
import torch
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.datasets.crops import CropBox
from dsr_nss.functional.warp import warp
from dsr_nss.models.preprocessor import to_pixels
from dsr_nss.studies.refinement.true_flow import TrueFlow, cut_flow, find_crop
from tests.matching.moved_pairs import SHIFT, write_random_pairs


@pytest.fixture
def nightscape(tmp_path):
    write_random_pairs(tmp_path / 'nightscape')
    return tmp_path / 'nightscape'


def pixels(nightscape, view: str, number: int) -> torch.Tensor:
    (path,) = nightscape.rglob(f'train/{view}/*/*_{number:06d}_rgb_anon.png')
    array = np.array(Image.open(path), dtype=np.float32) / 255
    return torch.from_numpy(array).permute(2, 0, 1)[None]


def test_crop_is_found_where_it_was_cut():
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    assert find_crop(image, image[3:7, 4:10]) == CropBox(3, 4, 4, 6)
    assert find_crop(image, image) == CropBox(0, 0, 9, 11)
    assert find_crop(image, image[3:7, 10:3:-1]) is None
    other = image[3:7, 4:10].copy()
    other[3, 5, 2] ^= 1
    assert find_crop(image, other) is None
    assert find_crop(image[:5], image) is None


def test_crop_is_found_in_an_even_image_and_not_over_the_end_of_a_row():
    even = np.zeros((6, 8, 3), np.uint8)
    even[4, 5] = (0, 9, 0)
    crop = even[3:6, 3:7]
    assert find_crop(even, crop) == CropBox(3, 3, 3, 4)
    rows = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    over_the_end = np.concatenate([rows[0, 2:], rows[1, :2]])[None]
    assert find_crop(rows, over_the_end) is None


def test_crop_of_a_flow_by_hand():
    flow = np.stack([np.arange(12).reshape(3, 4), -np.arange(12).reshape(3, 4)]).astype(np.float32)
    occluded = np.arange(12).reshape(3, 4) == 6
    cut, hidden = cut_flow(flow, occluded, CropBox(1, 1, 2, 2), mirrored=False)
    assert cut.tolist() == [[[5, 6], [9, 10]], [[-5, -6], [-9, -10]]]
    assert hidden.tolist() == [[False, True], [False, False]]
    cut, hidden = cut_flow(flow, occluded, CropBox(1, 1, 2, 2), mirrored=True)
    assert cut.tolist() == [[[-6, -5], [-10, -9]], [[-6, -5], [-10, -9]]]
    assert hidden.tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize('mirrored', [False, True])
def test_warped_day_is_the_night(nightscape, mirrored):
    night = torch.cat([pixels(nightscape, 'night', i)[..., 3:15, 5:21] for i in (2, 3)])
    day = torch.cat([pixels(nightscape, 'day', i)[..., 3:15, 5:21] for i in (2, 3)])
    if mirrored:
        night, day = night.flip(-1), day.flip(-1)
    alignment = TrueFlow(data_root=str(nightscape))(night, day)
    assert alignment.aligned.tolist() == [True, True]
    assert alignment.flow[0, :, 0, 0].tolist() == [-SHIFT[0] if mirrored else SHIFT[0], SHIFT[1]]
    warped, valid = warp(day, alignment.flow)
    # strictly inside of the day: two more columns and one more row than the shift are lost
    assert valid[0].sum() == (12 - SHIFT[1] - 1) * (16 - SHIFT[0] - 1)
    inside = valid[:, None].expand_as(warped)
    torch.testing.assert_close(warped[inside], night[inside])
    assert (alignment.confidence == 1).all()


def test_confidence_is_0_where_occluded_or_uninformed(nightscape):
    night, day = pixels(nightscape, 'night', 1), pixels(nightscape, 'day', 1)
    confidence = TrueFlow(data_root=str(nightscape))(night, day).confidence
    assert confidence.shape == (1, 1, 20, 28)
    assert (confidence[..., 0] == 0).all() and (confidence[..., 1:] == 1).all()
    confidence = TrueFlow(data_root=str(nightscape), informed=False)(night, day).confidence
    assert (confidence == 0.5).all()


def test_items_of_a_training_are_found(nightscape):
    """What the data set and the preprocessor make of a crop is still its bytes."""
    for kind, array in (('images', np.zeros((12, 16, 3))), ('labels', np.zeros((12, 16)))):
        (nightscape / kind).mkdir()
        Image.fromarray(array.astype(np.uint8)).save(nightscape / kind / '0.png')
    dataset = DATASETS.build(
        dict(
            type='SourceTargetDataset',
            source=dict(
                type='FolderDataset', data_root=str(nightscape), images='images', labels='labels'
            ),
            target=dict(
                type='DarkZurich', data_root=str(nightscape / 'dark_zurich'), split='train'
            ),
            crop_size=(12, 16),
            max_class_share=1.0,
        )
    )
    preprocessor = MODELS.build(dict(type='AdaptationPreprocessor'))
    aligner = TrueFlow(data_root=str(nightscape))
    turned = set()
    for number in range(8):
        batch = preprocessor(torch.utils.data.default_collate([dataset[number]]), training=True)
        night, day = (
            to_pixels(image, preprocessor.mean, preprocessor.std)
            for image in (batch.night_image, batch.reference_image)
        )
        flow = aligner(night, day).flow
        turned.add(float(flow[0, 0, 0, 0]))
        warped, valid = warp(day, flow)
        inside = valid[:, None].expand_as(warped)
        torch.testing.assert_close(warped[inside], night[inside])
    assert turned == {-2.0, 2.0}


def test_refinement_takes_it_by_its_type(nightscape):
    module = MODELS.build(
        dict(
            type='HolisticRefinement',
            aligner=dict(type='TrueFlow', data_root=str(nightscape), init_cfg=dict(type='Any')),
            class_names=CLASSES,
            static_classes=GROUPS['large_static'],
        )
    )
    assert not module.state_dict()
    night, day = pixels(nightscape, 'night', 1), pixels(nightscape, 'day', 1)
    scores, unaligned = module(
        torch.zeros(1, 19, 20, 28),
        torch.zeros(1, 19, 20, 28),
        night,
        day,
        torch.tensor([True]),
    )
    assert scores.shape == (1, 19, 20, 28) and unaligned == 0


def test_an_image_of_another_set_is_refused(nightscape):
    aligner = TrueFlow(data_root=str(nightscape))
    with pytest.raises(ValueError, match='12x16 .* is no crop of an image in .*night'):
        aligner(torch.rand(1, 3, 12, 16), torch.rand(1, 3, 12, 16))


def test_what_is_missing_or_damaged_is_named(nightscape, tmp_path):
    night = pixels(nightscape, 'night', 1)
    with pytest.raises(FileNotFoundError, match='no night images in .*make_nightscape'):
        TrueFlow(data_root=str(tmp_path / 'nothing'))(night, night)
    path = nightscape / 'truth/flow/GOPR0351_frame_000001.npz'
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match='000001.npz: no flow can be read from it'):
        TrueFlow(data_root=str(nightscape))(night, night)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='000001.npz does not exist'):
        TrueFlow(data_root=str(nightscape))(night, night)
