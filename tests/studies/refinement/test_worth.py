"""What alignment is worth, on pairs whose pseudo-labels are known by construction.

The toy network reads its prediction from the red channel: class = red // 10, logit = red % 10. By
night it is red 0 everywhere: every class has the same score. By day it is sure. A refinement then
trusts the day fully (`s = 1`), with P for dynamic classes, and with 1 for large static ones.
"""

import json
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.inference.load import read_model_config
from dsr_nss.studies.refinement.views import crop_grid, read_pairs
from dsr_nss.studies.refinement.worth import aligner_configs, measure_refinement
from tests.matching.moved_pairs import SHIFT, shifted, write_pair
from tests.matching.networks import tiny_network

SIZE = (24, 40)
CROP = (20, 18)
CONFIG = f"""
default_scope = 'mmseg'
model = dict(
    type='DSRNSS',
    student=dict(type='RedReader'),
    data_preprocessor=dict(type='AdaptationPreprocessor'),
    refinement=dict(
        type='HolisticRefinement', aligner=dict(type='UAWarpC'), class_names={CLASSES},
        static_classes={GROUPS['large_static']},
    ),
)
train_dataloader = dict(dataset=dict(crop_size={CROP}))
"""


@MODELS.register_module()
class RedReader(nn.Module):
    """Predicts what the red channel says."""

    num_classes = 19

    def __init__(self, data_preprocessor):
        super().__init__()
        self.data_preprocessor = MODELS.build(data_preprocessor)
        self.factor = nn.Parameter(torch.zeros(()))

    def encode_decode(self, image, metas=None):
        preprocessor = self.data_preprocessor
        red = (image * preprocessor.std + preprocessor.mean).round()[:, :1]
        classes = torch.arange(19).view(1, -1, 1, 1)
        return self.factor * (red % 10) * (red.div(10, rounding_mode='floor') == classes)


@MODELS.register_module()
class NormedReader(RedReader):
    """Notes what its batch norm normalises by, and its running mean after a pass."""

    seen: ClassVar[list[tuple[bool, float]]] = []

    def __init__(self, data_preprocessor):
        super().__init__(data_preprocessor)
        self.norm = nn.BatchNorm2d(3, affine=False)

    def encode_decode(self, image, metas=None):
        self.norm(image)
        self.seen.append((self.norm.training, float(self.norm.running_mean.abs().sum())))
        return super().encode_decode(image)


@pytest.fixture
def truth():
    """Class ids of two nights: blocks of road, building, person and car."""
    blocks = np.random.default_rng(1).choice([0, 2, 11, 13], (2, 6, 10)).astype(np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture
def run(tmp_path, truth):
    """(config file, checkpoint, nightscape)."""
    rng = np.random.default_rng(2)
    for number, day_ids in enumerate(truth, 1):
        day = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        night = shifted(day)
        day[..., 0], night[..., 0] = 10 * day_ids + 9, 0
        write_pair(tmp_path / 'nightscape', number, night, day, shifted(day_ids))
    config, checkpoint = tmp_path / 'config.py', tmp_path / 'iter_1.pth'
    config.write_text(CONFIG)
    # the student is unlike the teacher: it knows nothing
    state = {'student.factor': torch.tensor(0.0), 'teacher.model.factor': torch.tensor(1.0)}
    torch.save({'state_dict': state}, checkpoint)
    return config, checkpoint, tmp_path / 'nightscape'


def measure(run, *names, **kwargs):
    config, checkpoint, root = run
    aligners = aligner_configs(names, root)
    kwargs = {'data_root': root, 'device': 'cpu'} | kwargs
    return measure_refinement(read_model_config(config), checkpoint, aligners, **kwargs)


def share(condition: np.ndarray) -> float:
    return 100 * float(condition.mean())


def test_whole_images(run, truth):
    results = measure(run, 'identity', 'true_flow', 'true_flow_uninformed', whole=True)
    night = np.stack([shifted(ids) for ids in truth])
    assert results['pairs'] == results['views'] == 2
    assert results['none/pixel_accuracy'] == pytest.approx(share(night == 0))
    # equal scores: 1 / 19 in every pixel
    assert results['none/confidence/0.00-0.10/share'] == 100
    assert results['identity/pixel_accuracy'] == pytest.approx(share(truth == night))
    assert results['identity/corrected'] == pytest.approx(share((truth == night) & (night != 0)))
    assert results['identity/spoiled'] == pytest.approx(share((truth != night) & (night == 0)))

    inside = np.zeros(SIZE, bool)
    inside[: -SHIFT[1] - 1, : -SHIFT[0] - 1] = True
    right = inside | (night == 0)
    assert results['true_flow_uninformed/pixel_accuracy'] == pytest.approx(share(right))
    # where the truth says occluded, the day is trusted for large static classes only
    visible = np.ones(SIZE, bool)
    visible[:, 0] = False
    right = (inside & (visible | (night == 2))) | (night == 0)
    assert results['true_flow/pixel_accuracy'] == pytest.approx(share(right))
    people = np.isin(night, (11, 13))
    assert results['true_flow/accuracy_dynamic'] == pytest.approx(share(right[people]))
    assert results['true_flow/accuracy_small'] is None


def test_confidence_of_the_refined_label(run, truth):
    results = measure(run, 'identity', whole=True)
    # sure by day: e^9 / (e^9 + 18) = 0.998; dynamic: half of it and half of 1 / 19 = 0.525
    dynamic = share(np.isin(truth, (11, 13)))
    assert results['identity/confidence/0.50-0.60/share'] == pytest.approx(dynamic)
    assert results['identity/confidence/0.90-1.00/share'] == pytest.approx(100 - dynamic)


def test_crops_as_in_training(run, truth):
    results = measure(run, 'identity', limit=1)
    assert (results['pairs'], results['views']) == (1, 2)
    night, day = shifted(truth[0]), truth[0]
    views = [(slice(2, 22), columns) for columns in (slice(0, 18), slice(22, 40))]
    right = np.stack([night[view] == day[view] for view in views])
    assert results['identity/pixel_accuracy'] == pytest.approx(share(right))
    # the flow leaves the crop earlier than the image
    results = measure(run, 'true_flow_uninformed', limit=1)
    inside = np.zeros(CROP, bool)
    inside[: -SHIFT[1] - 1, : -SHIFT[0] - 1] = True
    right = np.stack([inside | (night[view] == 0) for view in views])
    assert results['true_flow_uninformed/pixel_accuracy'] == pytest.approx(share(right))


@pytest.mark.parametrize(
    ('field', 'by_the_batch'),
    [('', True), (", teacher_bn='batch'", True), (", teacher_bn='running'", False),
     (", teacher_bn='target'", False)],
)  # fmt: skip
def test_batch_norms_are_those_of_the_teacher_in_the_step(run, field, by_the_batch):
    config, checkpoint, _ = run
    text = config.read_text().replace("type='RedReader'", "type='NormedReader'")
    teacher = f"teacher=dict(type='EMATeacher'{field}),\n    refinement=dict("
    config.write_text(text.replace('refinement=dict(', teacher))
    state = {'factor': torch.tensor(1.0)}
    state |= {f'norm.{name}': value for name, value in nn.BatchNorm2d(3).named_buffers()}
    torch.save({'state_dict': {f'teacher.model.{k}': v for k, v in state.items()}}, checkpoint)
    NormedReader.seen.clear()
    measure(run, 'identity', whole=True)
    assert NormedReader.seen == [(by_the_batch, 0.0)] * 2  # two pairs, and nothing is learnt


def test_student_and_failed_alignment(run, truth):
    night = np.stack([shifted(ids) for ids in truth])
    results = measure(run, 'identity', whole=True, which='student')
    assert results['identity/pixel_accuracy'] == pytest.approx(share(night == 0))
    results = measure(run, 'homography', whole=True)
    assert results['homography/unaligned'] == 100
    assert results['homography/pixel_accuracy'] == results['none/pixel_accuracy']
    assert results['none/unaligned'] is None


def test_matching_network_and_pictures(run, tmp_path):
    weights, align = tmp_path / 'matching.pth', tmp_path / 'align.py'
    torch.save({'state_dict': tiny_network(seed=1).state_dict()}, weights)
    align.write_text(
        "model = dict(pyramid=dict(type='BackbonePyramid', backbone=dict(type='TinyEncoder'), "
        'mean=(0, 0, 0), std=(255, 255, 255)))'
    )
    config, checkpoint, root = run
    aligners = aligner_configs([f'uawarpc={weights}', 'none'], root, align)
    assert list(aligners) == ['uawarpc']
    results = measure_refinement(
        read_model_config(config), checkpoint, aligners, data_root=root, limit=1, whole=True,
        out=tmp_path / 'out', device='cpu',
    )  # fmt: skip
    assert results['uawarpc/unaligned'] == 0
    assert results['uawarpc/corrected'] + results['uawarpc/spoiled'] > 0
    assert (tmp_path / 'out/pairs/GOPR0351_frame_000001.png').is_file()


def test_grid_of_crops():
    boxes = crop_grid((256, 512), (192, 192), 'a.png')
    assert [(box.top, box.left) for box in boxes] == [(32, 0), (32, 320)]
    boxes = crop_grid((10, 31), (5, 10), 'a.png')
    assert [(b.top, b.left) for b in boxes] == [(t, x) for t in (0, 5) for x in (0, 10, 21)]
    with pytest.raises(DataError, match='a.png is 10x31 .* smaller than crop_size 11x10.*--whole'):
        crop_grid((10, 31), (11, 10), 'a.png')


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (['identiti'], 'the names are none, identity, static_agreement, homography, xfeat, '),
        (['identity', 'identity'], 'named twice'),
        (['uawarpc'], 'needs its weights: --aligner uawarpc=FILE'),
        (['identity=a.pth'], 'identity has no weights'),
    ],
)
def test_names_of_aligners(names, message):
    with pytest.raises(ConfigError, match=message):
        aligner_configs(names, 'data/nightscape')


def test_what_is_missing_is_named(run, tmp_path):
    config, checkpoint, root = run
    with pytest.raises(FileNotFoundError, match=r'weight file not found: .*no\.pth'):
        aligner_configs([f'uawarpc={tmp_path / "no.pth"}'], root)
    with pytest.raises(ConfigError, match=r'has no model\.pyramid'):
        aligner_configs([f'uawarpc={checkpoint}'], root, config)
    with pytest.raises(FileNotFoundError, match='has no folder truth.*make_nightscape'):
        measure(run, 'identity', data_root=tmp_path)
    (label,) = root.glob('truth/labels/train/night/*/*_000002_*.png')
    label.unlink()
    with pytest.raises(FileNotFoundError, match='000002_gt_labelTrainIds.png does not exist'):
        measure(run, 'identity')


def test_true_flow_of_resized_images_is_refused(run):
    config, _, _ = run
    text = config.read_text().replace('crop_size=', 'target_scale=(30, 50), crop_size=')
    config.write_text(text)
    with pytest.raises(DataError, match='000001_0, aligner true_flow: .*without target_scale'):
        measure(run, 'true_flow')


def test_config_without_refinement(run):
    config, _, _ = run
    config.write_text(config.read_text().replace('refinement=', 'renamed='))
    with pytest.raises(ConfigError, match=r'has no model\.refinement'):
        measure(run, 'identity')


def test_labels_are_resized_like_images(run):
    _, _, root = run
    files = tuple(
        str(next(root.glob(f'{folder}/*/*_000001_*.png')))
        for folder in (
            'dark_zurich/rgb_anon/train/night',
            'dark_zurich/rgb_anon/train/day',
            'truth/labels/train/night',
        )
    )
    (pair,) = read_pairs([files], None, (12, 20))
    assert pair.label.shape == (12, 20) and pair.night.shape == pair.day.shape == (12, 20, 3)


def test_the_tool(run, run_tool, tmp_path, capsys):
    config, checkpoint, root = run
    call = partial(run_tool, 'test_refinement', config, checkpoint)
    out, file = tmp_path / 'out', tmp_path / 'worth.json'
    arguments = ('--data-root', root, '--limit', '1', '--device', 'cpu')
    assert call(*arguments, '--json', str(file), '--out', str(out)) == 0
    printed = capsys.readouterr().out
    assert '1 pairs, 2 views (crops as in training)' in printed
    assert 'homography' in printed and 'right pixels by confidence' in printed
    results = json.loads(file.read_text())
    assert results['true_flow/mIoU'] > results['identity/mIoU'] > results['none/mIoU']
    assert (out / 'curves.png').read_bytes().startswith(b'\x89PNG')
    assert {path.name for path in (out / 'pairs').iterdir()} == {
        'GOPR0351_frame_000001_0.png',
        'GOPR0351_frame_000001_1.png',
    }
    wide = 'train_dataloader.dataset.crop_size=(24,40)'  # the whole image: one view
    assert call(*arguments, '--aligner', 'none', '--cfg-options', wide) == 0
    assert '1 pairs, 1 views' in capsys.readouterr().out
    assert call('--data-root', str(tmp_path / 'nothing')) == 2
    assert 'error: ' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call('--limit', '0')
