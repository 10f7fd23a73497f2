"""The config that goes with a converted checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg.registry import MODELS

from dsr_nss.classes import CLASSES
from dsr_nss.engine.components import components
from dsr_nss.engine.test_loop import first_test_loop
from dsr_nss.inference.transforms import image_transforms
from dsr_nss.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD

PREPROCESSOR = dict(
    type='SegDataPreProcessor',
    mean=list(IMAGENET_MEAN),
    std=list(IMAGENET_STD),
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
)
#: Classes of this package that add only training to mmseg's: for configs that mmseg alone can read.
STOCK_TYPES = {'AdaptableEncoderDecoder': 'EncoderDecoder', 'ResNetEncoder': 'ResNet'}
#: Networks that are no encoder of a segmentor -> the field that they belong in, and its type there.
PART_FIELDS = {
    'MatchingNetwork': ('aligner', 'UAWarpC'),
    'VGG16Pyramid': ('pyramid', 'VGG16Pyramid'),
}
#: Heads whose networks the configs of this package test on images of half the size, as the authors
#: do, unless they go through an image in windows.
HALF_SIZE_HEADS = ('DAFormerHead', 'DeepLabV2Head', 'RefineNetHead')
#: What is done to an image for them.
HALVED = [dict(type='Resize', scale_factor=0.5)]
#: Fields of `AdaptableEncoderDecoder`'s `test_cfg` that mmseg does not have.
OWN_TEST_FIELDS = ('max_windows',)


def whole_config(
    model: Mapping[str, Any],
    *,
    test_sets: Mapping[str, Any] | None = None,
    default_test_sets: Sequence[str] = (),
    test_pipeline: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A config with a network and its test data, for `tools/test.py` here and for mmseg's tools.

    Args:
        model: Config of the segmentor, with its preprocessor.
        test_sets: Test sets of a config that the user trusts; None: the real night sets, where the
            network has the classes of Cityscapes.
        default_test_sets: Names of those that are tested when none is named.
        test_pipeline: What the network's own config does to an image, also in the real night sets;
            None: halve it, if networks of this kind are tested so.
    """
    stock = _is_stock(model)
    if test_pipeline is None:
        transforms = HALVED if is_tested_at_half_size(model) else []
        load, pack = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
        test_pipeline = [load, *transforms, pack]
    config: dict[str, Any] = dict(
        default_scope='mmseg',
        # needed for the data sets alone where every part of the network is mmseg's
        custom_imports=dict(imports=['dsr_nss'], allow_failed_imports=stock),
        model=dict(model),
        visualizer=dict(type='SegLocalVisualizer'),  # without it mmseg's inferencer stops
    )
    if test_sets is None and number_of_classes(model) == len(CLASSES):
        test_sets = real_test_sets(image_transforms(dict(test_pipeline=test_pipeline)))
        default_test_sets = ['dark_zurich_val']
    if test_sets:
        names = list(default_test_sets) or list(test_sets)[:1]
        config |= dict(
            test_sets=dict(test_sets),
            default_test_sets=names,
            **first_test_loop(test_sets, names),
        )
    # what mmseg's inference_model reads
    config['test_pipeline'] = [step for step in test_pipeline if step['type'] != 'LoadAnnotations']
    return config


def is_tested_at_half_size(model: Mapping[str, Any]) -> bool:
    """Whether a network was trained, and so is tested, on images of half the size."""
    head = model['decode_head']
    kind = head.get('type') if isinstance(head, Mapping) else None
    mode = (model.get('test_cfg') or {}).get('mode', 'whole')
    return kind in HALF_SIZE_HEADS and mode == 'whole'


def part_config(config: Mapping[str, Any], checkpoint: Path) -> dict[str, Any]:
    """A config with a part of a network, to take the field from: an encoder, an aligner."""
    name, kind = PART_FIELDS.get(config['type'], ('backbone', config['type']))
    start = dict(type='Pretrained', checkpoint=str(checkpoint))
    return {name: {**config, 'type': kind, 'init_cfg': start}}


def real_test_sets(transforms: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The real night sets in their published folder layouts (docs/datasets.md).

    Args:
        transforms: What is done to an image for the network; where that is `HALVED`, images of
            BDD100K come to the same 540x960.
    """

    def data_set(kind: str, root: str, split: str, **fields: Any) -> dict:
        steps = list(map(dict, transforms))
        if kind == 'BDD100kNight' and steps == HALVED:
            steps = [dict(type='Resize', scale_factor=0.75)]
        load = [dict(type='LoadImageFromFile'), *steps]
        hidden = split == 'test' and kind != 'NighttimeDriving'  # the labels of test servers
        label = [] if hidden else [dict(type='LoadAnnotations')]
        pipeline = [*load, *label, dict(type='PackSegInputs')]
        return dict(type=kind, data_root=f'data/{root}', split=split, **fields, pipeline=pipeline)

    return dict(
        dark_zurich_val=data_set('DarkZurich', 'dark_zurich', 'val'),
        dark_zurich_test=data_set('DarkZurich', 'dark_zurich', 'test'),
        acdc_night_val=data_set('ACDC', 'acdc', 'val', condition='night'),
        acdc_night_test=data_set('ACDC', 'acdc', 'test', condition='night'),
        acdc_test=data_set('ACDC', 'acdc', 'test', condition=['fog', 'night', 'rain', 'snow']),
        nighttime_driving=data_set('NighttimeDriving', 'nighttime_driving', 'test'),
        bdd100k_night_val=data_set('BDD100kNight', 'bdd100k', 'val'),
        cityscapes_val=data_set('Cityscapes', 'cityscapes', 'val'),
        cityscapes_test=data_set('Cityscapes', 'cityscapes', 'test'),
    )


def number_of_classes(model: Mapping[str, Any]) -> int:
    """What its last head states; 0 where that is nothing."""
    head = model['decode_head']
    head = head[-1] if isinstance(head, (list, tuple)) else head
    return head.get('num_classes') or head.get('head', {}).get('num_classes', 0)


def stock_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """The same network without the classes that only add training; the weights stay the same."""
    swapped = _swap(model)
    if swapped['type'] == 'EncoderDecoder':
        test_cfg = swapped.get('test_cfg') or dict(mode='whole')  # mmseg's own has no default
        swapped['test_cfg'] = {k: v for k, v in test_cfg.items() if k not in OWN_TEST_FIELDS}
    return swapped


def _swap(node: Any) -> Any:
    if isinstance(node, Mapping):
        swapped = {key: _swap(value) for key, value in node.items() if key != 'init_cfg'}
        kind = swapped.get('type')
        if kind == 'AdaptationPreprocessor':
            own = {key: value for key, value in swapped.items() if key != 'type'}
            return {**PREPROCESSOR, **own}
        return {**swapped, 'type': STOCK_TYPES.get(kind, kind)} if kind else swapped
    if isinstance(node, (list, tuple)):
        return type(node)(map(_swap, node))
    return node


def _is_stock(model: Mapping[str, Any]) -> bool:
    """Whether mmseg alone can build it."""
    types = (MODELS.get(part['type']) for _, part in components(model))
    return all(found is None or not found.__module__.startswith('dsr_nss') for found in types)
