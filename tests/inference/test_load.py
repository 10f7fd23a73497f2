"""Loading a segmentor: its own checkpoints, training checkpoints, and files that do not fit."""

import pytest
import torch
from mmseg.registry import MODELS

from dsr_nss.classes import CLASSES
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.inference.load import load_model, read_model_config
from tests.tiny_segmentor import make_segmentor

ADAPTATION = """
default_scope = 'mmseg'
custom_imports = dict(imports=['dsr_nss'], allow_failed_imports=False)
model = dict(
    type='DSRNSS',
    data_preprocessor=dict(type='AdaptationPreprocessor'),
    student=dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='MiT', arch='b0'),
        decode_head=dict(
            type='FCNHead', in_channels=256, in_index=3, channels=4, num_convs=1, num_classes=19,
            norm_cfg=dict(type='BN'),
        ),
    ),
    teacher=dict(type='EMATeacher'),
    mixup=dict(type='DSRMixup', class_names=CLASSES, always_classes=()),
)
"""


@pytest.fixture
def adaptation_file(tmp_path):
    path = tmp_path / 'adaptation.py'
    path.write_text(ADAPTATION.replace('CLASSES', repr(CLASSES)))
    return path


@pytest.fixture
def training(adaptation_file):
    """A training model whose student and teacher differ."""
    torch.manual_seed(0)
    model = MODELS.build(read_model_config(adaptation_file).model)
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(1)
    return model


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_plain_segmentor(config_file, checkpoint):
    model = load_model(config_file, checkpoint)
    assert same(weights(model), weights(make_segmentor(config_file)))
    assert not model.training
    assert model.dataset_meta['classes'] == CLASSES
    assert not any(isinstance(m, torch.nn.SyncBatchNorm) for m in model.modules())


def test_student_and_teacher_of_a_training_checkpoint(tmp_path, adaptation_file, training):
    path = tmp_path / 'iter_3.pth'
    torch.save(dict(state_dict=training.state_dict(), meta=dict(iter=3)), path)
    student = load_model(adaptation_file, path)
    teacher = load_model(adaptation_file, path, 'teacher')
    assert type(student).__name__ == 'AdaptableEncoderDecoder'
    assert same(weights(student), weights(training.student))
    assert same(weights(teacher), weights(training.teacher.model))
    assert not same(weights(student), weights(teacher))


def test_plain_student_checkpoint_with_the_training_config(tmp_path, adaptation_file, training):
    path = tmp_path / 'student.pth'
    torch.save(training.student.state_dict(), path)
    assert same(weights(load_model(adaptation_file, path)), weights(training.student))


def test_loading_twice_from_one_config(config_file, checkpoint):
    config = read_model_config(config_file)
    assert same(weights(load_model(config, checkpoint)), weights(load_model(config, checkpoint)))


def test_no_teacher(config_file, checkpoint):
    with pytest.raises(CheckpointError, match=r'iter_1\.pth holds no teacher'):
        load_model(config_file, checkpoint, 'teacher')
    with pytest.raises(ValueError, match="'student', 'teacher'"):
        load_model(config_file, checkpoint, 'best')


def test_checkpoint_of_another_model(tmp_path, config_file, checkpoint):
    state = torch.load(checkpoint)['state_dict']
    del state['decode_head.conv_seg.bias']
    state['decode_head.conv_seg.weight'] = torch.zeros(7, 4, 1, 1)
    state['neck.conv.weight'] = torch.zeros(1)
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError) as info:
        load_model(config_file, tmp_path / 'other.pth')
    for part in (
        'other.pth',
        '1 missing: decode_head.conv_seg.bias',
        '1 unknown: neck.conv.weight',
        'decode_head.conv_seg.weight (7, 4, 1, 1) for (19, 4, 1, 1)',
        f'Name the config that it was trained with instead of {config_file}',
    ):
        assert part in str(info.value)
    assert 'carries' not in str(info.value)
    torch.save(dict(state_dict=state, meta=dict(cfg='model = dict()')), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='or none: this checkpoint carries its own'):
        load_model(config_file, tmp_path / 'other.pth')


def test_classes_of_the_checkpoint(tmp_path, config_file, checkpoint):
    content = torch.load(checkpoint)
    names = tuple(f'thing {i}' for i in range(19))
    content['meta']['dataset_meta'] = dict(classes=names)
    torch.save(content, tmp_path / 'named.pth')
    meta = load_model(config_file, tmp_path / 'named.pth').dataset_meta
    assert meta['classes'] == names
    assert len({tuple(colour) for colour in meta['palette']}) == 19


@pytest.mark.parametrize('device', ['gpu', 'cuda:99'])
def test_devices_that_are_not_there(config_file, checkpoint, device):
    with pytest.raises(ConfigError, match=f"the device '{device}' cannot be used here"):
        load_model(config_file, checkpoint, device=device)


def test_groups_that_are_none_are_left_out(tmp_path, config_file, checkpoint):
    content = torch.load(checkpoint)
    groups = dict(odd=[['thing 0']], good=['thing 1'])
    names = tuple(f'thing {i}' for i in range(19))
    content['meta']['dataset_meta'] = dict(classes=names, groups=groups)
    torch.save(content, tmp_path / 'named.pth')
    meta = load_model(config_file, tmp_path / 'named.pth').dataset_meta
    assert meta['groups'] == dict(good=('thing 1',))


def test_bad_configs(tmp_path, checkpoint):
    with pytest.raises(FileNotFoundError, match='nothing.py'):
        load_model(tmp_path / 'nothing.py', checkpoint)
    for text, message in (
        ('a = 1', 'has no model'),
        ('model = dict(', 'cannot be read'),
        ("model = dict(type='Nothing', data_preprocessor=dict(type='X'))", 'cannot be built'),
        ("model = dict(type='EncoderDecoder')", 'no data_preprocessor'),
    ):
        (tmp_path / 'bad.py').write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_model(tmp_path / 'bad.py', checkpoint)


def test_more_classes_than_a_map_has_room_for(tmp_path, adaptation_file):
    text = adaptation_file.read_text().replace('num_classes=19', 'num_classes=256')
    adaptation_file.write_text(text)
    student = MODELS.build({**read_model_config(adaptation_file).model.student})
    torch.save(student.state_dict(), tmp_path / 'a.pth')
    with pytest.raises(ConfigError, match='256 classes apart, .* has room for 255'):
        load_model(adaptation_file, tmp_path / 'a.pth')


def test_names_of_the_config_and_of_the_checkpoint(tmp_path, config_file, checkpoint):
    names = tuple(f'thing_{i}' for i in range(19))
    config_file.write_text(config_file.read_text() + f'classes = dict(names={names})')
    assert load_model(config_file, checkpoint).dataset_meta['classes'] == names
    content = torch.load(checkpoint)
    for saved, fits in ((tuple(n.replace('_', ' ') for n in names), True), (names[::-1], False)):
        content['meta']['dataset_meta'] = dict(classes=saved, groups=dict(small=saved[:2], a=5))
        torch.save(content, tmp_path / 'named.pth')
        if fits:
            meta = load_model(config_file, tmp_path / 'named.pth').dataset_meta
            assert meta['classes'] == saved and meta['groups'] == dict(small=saved[:2])
            continue
        with pytest.raises(
            ConfigError, match=r"classes\.names of the config names class 0 'thing_0'"
        ):
            load_model(config_file, tmp_path / 'named.pth')
