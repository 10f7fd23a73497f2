"""Which network a set of named weights belongs to, as a config that builds it.

Widths and depths are read off the shapes. Where some entries are missing or have a wrong shape, the
encoder that fits best is taken, so that the misfits can be listed; what a head is like is asked for
where no entry tells it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.models.backbones import ResNet
from mmseg.models.backbones.resnet import BasicBlock
from torch import Tensor

from dsr_nss.checkpoints.reading import entries_below
from dsr_nss.conversion.foundation import VFM_UDA_ENCODER, describe_timm
from dsr_nss.errors import CheckpointError
from dsr_nss.models.backbones.mit import ARCHITECTURES, HEADS

State = Mapping[str, Tensor]
#: Windows at test time, as the authors of each kind of network test it at full resolution.
HRDA_TEST: dict[str, Any] = dict(mode='slide', crop_size=(1080, 1080), stride=(420, 420))
LHOYER_TEST: dict[str, Any] = dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512))
SEGFORMER_TEST: dict[str, Any] = dict(mode='slide', crop_size=(1024, 1024), stride=(768, 768))
WHOLE_TEST: dict[str, Any] = dict(mode='whole')


def describe_segmentor(state: State, layout: str) -> dict[str, Any]:
    """Config of the segmentor that has these entries, without a preprocessor.

    Args:
        state: `backbone.*` and `decode_head.*`.
        layout: Layout of the file that the network comes from; it decides how the network was
            tested.

    Raises:
        CheckpointError: An encoder or a head that cannot be told from its names.
    """
    backbone = describe_encoder(entries_below('backbone.', state))
    head = entries_below('decode_head.', state)
    type_ = 'AdaptableEncoderDecoder'
    test_cfg: dict[str, Any] = dict(WHOLE_TEST)
    decode_head: dict[str, Any]
    if any(name.startswith(('head.', 'scale_attention.')) for name in head):
        type_ = 'HRDAEncoderDecoder'
        test_cfg = HRDA_TEST if layout in ('dsrnss', 'refign') else LHOYER_TEST
        decode_head = _hrda_head(head, backbone)
    elif any(name.startswith(('embed_layers.', 'fuse_layer.')) for name in head):
        decode_head = _daformer_head(head, backbone)
        test_cfg = SEGFORMER_TEST if layout == 'segformer' else WHOLE_TEST
    elif any(name.startswith('fusion_conv.') for name in head):
        decode_head, test_cfg = _segformer_head(head, backbone), SEGFORMER_TEST
    elif any(name.startswith('upscale.') for name in head):
        decode_head, test_cfg = _light_head(head), LHOYER_TEST
        backbone |= VFM_UDA_ENCODER if layout == 'vfm-uda' else {}
    elif any(name.startswith('branches.') for name in head):
        decode_head = _deeplabv2_head(head)
        backbone |= dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    elif any(name.startswith('paths.') for name in head):
        decode_head = _refinenet_head(head)
    else:
        raise CheckpointError(
            'the head of the network cannot be told from its names; name its config with --config'
        )
    return dict(type=type_, backbone=backbone, decode_head=decode_head, test_cfg=dict(test_cfg))


def describe_encoder(state: State) -> dict[str, Any]:
    """Config of the encoder that has these entries.

    Raises:
        CheckpointError: None that is known.
    """
    for mark, describe in (
        ('patch_embed1.', _mit),
        ('layers.0.', _mmseg_mit),
        ('layer1.', _resnet),
        ('features.', _vgg),
        ('timm_model.', describe_timm),
    ):
        if any(name.startswith(mark) for name in state):
            return describe(state)
    raise CheckpointError(
        'the encoder of the network cannot be told from its names; name its config with --config'
    )


# --- encoders -----------------------------------------------------------------------------------


def _mit(state: State) -> dict[str, Any]:
    channels = [_size(state, (f'norm{i}.weight', 0), (f'norm{i}.bias', 0)) for i in range(1, 5)]
    return dict(type='MiT', arch=_nearest_arch(channels, [f'block{i}' for i in range(1, 5)], state))


def _mmseg_mit(state: State) -> dict[str, Any]:
    channels = [_size(state, (f'layers.{i}.2.weight', 0)) for i in range(4)]
    widths, depths = ARCHITECTURES[
        _nearest_arch(channels, [f'layers.{i}.1' for i in range(4)], state)
    ]
    return dict(
        type='MixVisionTransformer',
        embed_dims=widths[0],
        num_layers=list(depths),
        num_heads=list(HEADS),
    )


def _nearest_arch(channels: Sequence[int | None], stages: Sequence[str], state: State) -> str:
    found = [*channels, *_depths(state, stages)]
    return _nearest(found, {name: (*arch[0], *arch[1]) for name, arch in ARCHITECTURES.items()})


def _resnet(state: State) -> dict[str, Any]:
    basic = not any(name.startswith('layer1.0.conv3.') for name in state)
    found = [basic, *_depths(state, [f'layer{i}' for i in range(1, 5)])]
    known = {
        depth: (block is BasicBlock, *blocks)
        for depth, (block, blocks) in ResNet.arch_settings.items()
    }
    config = dict(type='ResNetEncoder', depth=_nearest(found, known))
    return {**config, 'deep_stem': True} if any(k.startswith('stem.') for k in state) else config


def _vgg(state: State) -> dict[str, Any]:
    return dict(type='VGG16Pyramid')


def _depths(state: State, stages: Sequence[str]) -> list[int]:
    """Blocks in each stage: `<stage>.<number>.<rest>`."""
    depths = [0] * len(stages)
    for name in state:
        for i, stage in enumerate(stages):
            number = name.removeprefix(f'{stage}.').split('.')[0]
            if name.startswith(f'{stage}.') and number.isdigit():
                depths[i] = max(depths[i], int(number) + 1)
    return depths


def _nearest(found: Sequence[int | None], known: Mapping[Any, Sequence[int]]) -> Any:
    """The variant with the most numbers in common, and of these the one that differs least."""

    def misfit(key: Any) -> tuple[int, int]:
        pairs = [(a or 0, b) for a, b in zip(found, known[key], strict=True)]
        return sum(a != b for a, b in pairs), sum(abs(a - b) for a, b in pairs)

    return min(known, key=misfit)


# --- heads --------------------------------------------------------------------------------------


def _daformer_head(head: State, backbone: Mapping[str, Any]) -> dict[str, Any]:
    config = dict(
        type='DAFormerHead',
        in_channels=_channels(backbone, head),
        channels=_width(head, ('conv_seg.weight', 1), ('fuse_layer.bn.weight', 0)),
        embed_channels=_width(head, *((f'embed_layers.{i}.proj.bias', 0) for i in range(4))),
        num_classes=_classes(head),
    )
    if any(name.startswith('fuse_layer.conv.') for name in head):
        config['fusion'] = 'conv1x1'
    return config


def _hrda_head(head: State, backbone: Mapping[str, Any]) -> dict[str, Any]:
    shared, attention = entries_below('head.', head), entries_below('scale_attention.', head)
    if not any(name.startswith('conv_seg.') for name in attention):  # a part of the file is lost
        attention |= {k: v for k, v in shared.items() if k.startswith('conv_seg.')}
    return dict(
        type='HRDAHead',
        head=_daformer_head(shared, backbone),
        scale_attention={
            **_daformer_head(attention, backbone),
            'fusion': 'conv1x1',
            'num_classes': _classes(shared),
        },
        truncate_boxes=True,  # as the published code, so that its figures are met
    )


def _segformer_head(head: State, backbone: Mapping[str, Any]) -> dict[str, Any]:
    return dict(
        type='SegformerHead',
        in_channels=_channels(backbone, head),
        in_index=[0, 1, 2, 3],
        channels=_width(head, ('conv_seg.weight', 1), ('fusion_conv.bn.weight', 0)),
        dropout_ratio=0.1,
        num_classes=_classes(head),
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
    )


def _deeplabv2_head(head: State) -> dict[str, Any]:
    return dict(
        type='DeepLabV2Head',
        in_channels=_width(head, *((f'branches.{i}.weight', 1) for i in range(4))),
        num_classes=_classes(head, 'branches.0', 'branches.1'),
    )


def _light_head(head: State) -> dict[str, Any]:
    width = _width(head, ('upscale.0.weight', 0))
    return dict(type='LightHead', in_channels=width, num_classes=_classes(head))


def _refinenet_head(head: State) -> dict[str, Any]:
    return dict(
        type='RefineNetHead',
        in_channels=[_width(head, (f'paths.{i}.reduce.weight', 1)) for i in range(4)],
        channels=_width(head, ('conv_seg.weight', 1), ('paths.0.reduce.weight', 0)),
        coarsest_channels=_width(head, ('paths.3.reduce.weight', 0)),
        num_classes=_classes(head),
    )


def _channels(backbone: Mapping[str, Any], head: State) -> list[int]:
    if backbone['type'] == 'MiT':
        return list(ARCHITECTURES[backbone['arch']].channels)
    if backbone['type'] == 'MixVisionTransformer':
        return [backbone['embed_dims'] * heads for heads in backbone['num_heads']]
    if backbone['type'] == 'TimmViT':
        raise CheckpointError(
            'the head takes several maps of a vision transformer, and no name tells of which '
            'blocks; name the config of the network with --config'
        )
    return [_width(head, (f'embed_layers.{i}.proj.weight', 1)) for i in range(4)]


def _classes(head: State, *classifiers: str) -> int:
    classifiers = classifiers or ('conv_seg',)
    entries = [(f'{name}.{kind}', 0) for name in classifiers for kind in ('weight', 'bias')]
    return _width(head, *entries, what='number of classes')


def _width(head: State, *entries: tuple[str, int], what: str = 'width of a layer') -> int:
    """As `_size`; a file that does not tell leaves it to the user."""
    size = _size(head, *entries)
    if size is None:
        raise CheckpointError(
            f'the head has no {" and no ".join(name for name, _ in entries)}, so the {what} cannot '
            'be told; name the config of the network with --config'
        )
    return size


def _size(state: State, *entries: tuple[str, int]) -> int | None:
    """A dimension of the first entry that is there."""
    return next((state[name].shape[dim] for name, dim in entries if name in state), None)
