"""The classes are stated once: every place that depends on them, and every way to disagree."""

import copy

import pytest
from mmengine.config import Config
from mmengine.model import BaseModule
from mmseg.registry import MODELS

from dsr_nss.classes import CLASSES, PALETTE, complete_groups, complete_palette
from dsr_nss.engine.class_block import (
    apply_classes,
    check_outputs,
    class_block,
    unfilled_groups,
)
from dsr_nss.engine.components import accepted_fields
from dsr_nss.engine.config_fields import apply_config_fields
from dsr_nss.errors import ConfigError

FIVE = ('road', 'building', 'person', 'car', 'sky')


@MODELS.register_module(force=True)
class OwnPart(BaseModule):
    """A module from outside of the package that says which group it takes."""

    class_fields = dict(class_names='names', vehicles='vehicles')

    def __init__(self, *, class_names, vehicles=()):
        super().__init__()


@MODELS.register_module(force=True)
class OwnNames(BaseModule):
    """A module from outside that says nothing, but takes the names."""

    def __init__(self, *, class_names):
        super().__init__()


def folder(**fields):
    return dict(type='FolderDataset', images='images', labels='labels', **fields)


def make(**top):
    """A config that leaves open whatever depends on the classes."""
    head = dict(type='DAFormerHead', in_channels=[8, 8, 8, 8])
    student = dict(
        type='HRDAEncoderDecoder',
        backbone=dict(type='MiT'),
        decode_head=dict(type='HRDAHead', head=head, scale_attention=dict(head)),
        auxiliary_head=[dict(type='FCNHead', in_channels=8, channels=8)],
    )
    config = dict(
        classes=dict(names=FIVE),
        model=dict(
            type='DSRNSS',
            student=student,
            refinement=dict(type='HolisticRefinement', aligner=dict(type='Identity')),
            mixup=dict(type='DSRMixup'),
            bank=dict(type='LongTailMemoryBank'),
            alignment=dict(type='FPALoss', start=1),
            feature_distance=dict(type='FeatureDistance'),
            own=dict(type='OwnPart'),
            names=dict(type='OwnNames'),
        ),
        train_dataloader=dict(
            batch_size=2,
            dataset=dict(
                type='SourceTargetDataset', source=folder(), target=folder(), crop_size=(64, 96)
            ),
        ),
        test_sets=dict(night_val=folder(), other=folder()),
        default_test_sets=['night_val'],
        val_dataloader=dict(dataset=folder()),
    )
    return Config(copy.deepcopy({**config, **top}))


def place(config, path):
    """The node above the last part of a dotted path, and that part."""
    *above, last = path.split('.')
    for part in above:
        config = config[int(part) if part.isdigit() else part]
    return config, last


def at(config, path):
    node, last = place(config, path)
    return node[last]


NUMBERS = [
    f'model.student.{head}.num_classes'
    for head in ('decode_head.head', 'decode_head.scale_attention', 'auxiliary_head.0')
]
NAMES = [
    f'model.{part}.class_names'
    for part in ('refinement', 'mixup', 'bank', 'alignment', 'feature_distance', 'own', 'names')
]
SETS = [
    'train_dataloader.dataset.source', 'train_dataloader.dataset.target', 'test_sets.night_val',
    'test_sets.other', 'val_dataloader.dataset',
]  # fmt: skip
GROUPED = {
    'model.refinement.static_classes': ('road', 'building', 'sky'),
    'model.mixup.always_classes': ('person', 'car'),
    'model.bank.long_tail_classes': (),
    'model.alignment.long_tail_classes': (),
    'model.feature_distance.classes': ('person', 'car'),
}
OTHERS = {
    'fewer': FIVE[:4], 'more': (*FIVE, 'bus'), 'another': (*FIVE[:4], 'bus'), 'order': FIVE[::-1],
    'Cityscapes': CLASSES,
}  # fmt: skip


# --- what follows ---------------------------------------------------------------------------------


def test_five_names_are_all_that_a_config_states():
    config = make()
    apply_classes(config)
    assert [at(config, path) for path in NUMBERS] == [5] * 3
    assert [at(config, path) for path in NAMES] == [FIVE] * 7
    assert {path: at(config, path) for path in GROUPED} == GROUPED
    for path in SETS:
        info = at(config, path).metainfo
        assert tuple(info.classes) == FIVE
        assert info.palette[0] == list(PALETTE[0]) and len(info.palette) == 5
        assert info.groups.dynamic == ('person', 'car')
    again = copy.deepcopy(config)
    apply_classes(again)  # as a run's written config is read
    assert again._cfg_dict == config._cfg_dict


def test_groups_and_palette_are_the_configs_own():
    colours = [[i, i, i] for i in range(3)]
    groups = dict(long_tail=('crane',), vehicles=('crane', 'truck'), small=('crane',))
    block = dict(names=('crane', 'truck', 'gravel'), palette=colours, groups=groups)
    config = make(classes=block)
    apply_classes(config)
    assert config.model.bank.long_tail_classes == ('crane',)
    assert config.model.own.vehicles == ('crane', 'truck')  # by a name of one's own
    assert config.model.mixup.always_classes == ('crane', 'truck')
    assert config.val_dataloader.dataset.metainfo.palette == colours
    complete = config.val_dataloader.dataset.metainfo.groups
    assert complete['dynamic'] == ('truck',) and complete['large_static'] == ()
    assert complete['small_objects'] == ('crane',)


def test_stated_names_may_be_other_than_the_groups_and_a_group_by_name():
    config = make()
    config.model.mixup.always_classes = 'large_static'
    config.model.bank.long_tail_classes = ('sky',)
    config.model.alignment.long_tail_classes = ()
    apply_classes(config)
    assert config.model.mixup.always_classes == ('road', 'building', 'sky')
    assert config.model.bank.long_tail_classes == ('sky',)
    assert config.model.alignment.long_tail_classes == ()


def test_without_a_block_the_labelled_training_set_says_the_classes():
    config = make(classes=None)
    apply_classes(config)
    assert config.model.mixup.class_names == CLASSES  # what a FolderDataset has by default
    config = make(classes=None)
    config.train_dataloader.dataset.source.metainfo = dict(classes=FIVE, palette=[[1, 2, 3]] * 5)
    apply_classes(config)
    assert config.model.mixup.class_names == FIVE
    assert config.val_dataloader.dataset.metainfo.palette == [[1, 2, 3]] * 5
    config = make(classes=None)
    config.train_dataloader = None
    apply_classes(config)
    assert 'class_names' not in config.model.mixup


def test_night_images_of_a_published_set_may_serve_any_classes():
    config = make()
    config.train_dataloader.dataset.target = dict(type='DarkZurich', data_root='d', split='train')
    config.test_sets.other = dict(type='DarkZurich', data_root='d', split='val')  # nobody asks
    apply_classes(config)
    config.test_sets.night_val = config.test_sets.other
    with pytest.raises(ConfigError, match=r'test_sets\.night_val is a DarkZurich, which has 19'):
        apply_classes(config)


def test_colours_are_distinct_for_150_classes():
    names = (*CLASSES[:3], *(f'thing {i}' for i in range(147)))
    palette = complete_palette(names)
    assert len({tuple(colour) for colour in palette}) == 150
    assert palette[:3] == [list(colour) for colour in PALETTE[:3]]
    assert palette == complete_palette(names)


def test_groups_of_cityscapes():
    groups = complete_groups(CLASSES)
    assert groups['things'] == ('traffic light', 'traffic sign', *groups['dynamic'])
    assert groups['small_objects'] == (*groups['small'], 'person', 'rider')


def test_every_component_of_the_package_says_what_it_takes():
    for name in list(MODELS.module_dict):
        kind = MODELS.get(name)
        if kind.__module__.startswith('dsr_nss'):
            fields = accepted_fields(kind) or ()
            wanted = {f for f in fields if f == 'class_names' or f.endswith('_classes')}
            assert wanted - {'num_classes'} <= set(getattr(kind, 'class_fields', {})), name


def test_a_part_without_a_class_to_work_on_is_said():
    config = make()
    apply_classes(config)
    notes = list(unfilled_groups(config))
    assert [note.partition(' is empty')[0] for note in notes] == [
        'model.bank.long_tail_classes', 'model.alignment.long_tail_classes',
    ]  # fmt: skip
    assert 'no class in long_tail. State the group in classes.groups' in notes[0]
    config.model.bank.long_tail_classes = ('car',)  # stated apart from the groups
    config.model.alignment = None
    assert not list(unfilled_groups(config))


# --- what disagrees -------------------------------------------------------------------------------


@pytest.mark.parametrize('other', OTHERS)
@pytest.mark.parametrize('path', [*NAMES, *(f'{path}.metainfo.classes' for path in SETS)])
def test_other_names_are_refused_with_both_places(path, other):
    config = make()
    node, last = place(config, path.replace('.metainfo.classes', ''))
    if path.endswith('metainfo.classes'):
        node[last].metainfo = dict(classes=OTHERS[other])
    else:
        node[last] = OTHERS[other]
    with pytest.raises(ConfigError) as info:
        apply_classes(config)
    (message,) = str(info.value).splitlines()
    assert message.startswith(path) and 'classes.names states 5 classes (road, ' in message
    assert f'{len(OTHERS[other])} classes' in message


@pytest.mark.parametrize('number', [2, 4, 6, 19])
@pytest.mark.parametrize('path', NUMBERS)
def test_another_number_of_outputs_is_refused_with_both_places(path, number):
    config = make()
    node, last = place(config, path)
    node[last] = number
    with pytest.raises(ConfigError, match=rf'{path} is {number}, but classes\.names states 5'):
        apply_classes(config)


@pytest.mark.parametrize('path', [*GROUPED, 'model.mixup.companions', 'model.own.vehicles'])
def test_a_name_that_is_no_class_lists_the_classes(path):
    config = make()
    node, last = place(config, path)
    node[last] = [(('person',), ('tram',))] if last == 'companions' else ('person', 'tram')
    with pytest.raises(ConfigError) as info:
        apply_classes(config)
    assert str(info.value).startswith(f"{path}: 'tram' is none of the classes of classes.names")
    assert 'road, building, person, car, sky' in str(info.value)
    node[last] = 'vehicels'
    with pytest.raises(ConfigError, match=rf"{path}: 'vehicels' is no group.*large_static, small"):
        apply_classes(config)


def test_everything_that_disagrees_is_said_at_once():
    config = make()
    config.model.mixup.class_names = CLASSES
    config.model.student.decode_head.head.num_classes = 19
    config.val_dataloader.dataset.metainfo = dict(classes=CLASSES)
    with pytest.raises(ConfigError) as info:
        apply_classes(config)
    assert len(str(info.value).splitlines()) == 3


@pytest.mark.parametrize('outputs', [1, 6])
def test_a_head_with_one_output_for_two_classes_cannot_be_trained(outputs):
    config = make(classes=dict(names=('ground', 'thing')))
    config.model.student.decode_head.head.out_channels = outputs
    with pytest.raises(ConfigError, match=r'head\.out_channels is .*needs one output for each'):
        apply_classes(config)
    config.model = config.model.student  # a plain segmentor, to predict with
    apply_classes(config)
    assert config.model.decode_head.head.num_classes == 2


def test_class_weights_of_another_number():
    config = make()
    loss = dict(type='CrossEntropyLoss', class_weight=[1.0] * 19)
    config.model.student.decode_head.head.loss_decode = loss
    with pytest.raises(ConfigError, match=r'class_weight has 19 numbers, but classes\.names'):
        apply_classes(config)


def test_palettes_that_differ():
    config = make(classes=dict(names=('a', 'b'), palette=[[0, 0, 0], [9, 9, 9]]))
    config.test_sets.other.metainfo = dict(classes=('a', 'b'), palette=[[0, 0, 0], [8, 8, 8]])
    with pytest.raises(ConfigError, match=r'test_sets\.other\.metainfo\.palette differs'):
        apply_classes(config)


@pytest.mark.parametrize(
    ('block', 'message'),
    [
        (5, r'classes must be dict\(names='),
        (dict(names=()), r'classes must be dict\(names='),
        (dict(names='road'), 'must be a list of names'),
        (dict(names=('road', 3)), 'must be a list of names'),
        (dict(names=('road', 'sky', 'road')), "classes.names has 'road' twice"),
        (dict(names=('road',)), 'has 1 names; there must be 2 to 255'),
        (dict(names=[f'a{i}' for i in range(256)]), 'has 256 names'),
        (dict(names=FIVE, colours=1), r'classes\.colours: its fields are names, palette, groups'),
        (dict(names=FIVE, palette=[[0, 0, 0]]), 'has 1 colours for 5 classes'),
        (dict(names=FIVE, palette=[[0, 0, 256]] * 5), 'three values in 0..255'),
        (
            dict(names=FIVE, groups=dict(small=('cone',))),
            "groups.small: 'cone' is none of .*: road",
        ),
        (dict(names=FIVE, groups=dict(small='road')), 'a group is a list'),
        (dict(names=FIVE, groups=dict(official=['road'])), r'groups\.official: the name '),
        (dict(names=FIVE, groups=dict(names=('road',))), r'classes\.groups\.names'),
    ],
)
def test_a_block_that_is_none(block, message):
    with pytest.raises(ConfigError, match=message):
        class_block(make(classes=block))


def test_what_was_built_is_compared_too():
    class Built:
        student = type('Student', (), dict(out_channels=11))
        metainfo = dict(classes=CLASSES)

    with pytest.raises(ConfigError, match=r'has 11 outputs, but .* has 19 classes'):
        check_outputs(Built, Built)
    check_outputs(object(), Built)


# --- the crop -------------------------------------------------------------------------------------


def test_the_bank_has_the_size_of_the_crop():
    config = make()
    apply_config_fields(config)
    assert config.model.bank.size == (64, 96)
    config.model.bank.type = 'BatchMemoryBank'
    apply_config_fields(config)
    assert config.model.bank.batch_size == 2
    config.model.bank.update(size=[64, 64], batch_size=4)
    with pytest.raises(ConfigError) as info:
        apply_config_fields(config)
    first, second = str(info.value).splitlines()
    assert first.startswith('model.bank.size is (64, 64), but train_dataloader.dataset.crop_size')
    assert second.startswith('model.bank.batch_size is 4, but train_dataloader.batch_size is 2')
