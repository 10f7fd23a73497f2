"""Which networks are taken out of the config that a weight file carries: by class and by field.

Whoever made a file also made its config. mmengine builds what a config names, and among the
registered classes are some that fetch an address, unpickle a file or load start weights. So nothing
is built from such a config but what this table lists, and each field has a kind that no file name,
address, backend or class path can be of: there is no kind for free text.
"""

from dataclasses import dataclass
from typing import Any

from dsr_nss.checkpoints.allowed_kinds import (
    OWN_CONFIG,
    Choice,
    Either,
    Fields,
    Integer,
    Items,
    Kind,
    Number,
    Refused,
    or_none,
    shown,
)
from dsr_nss.errors import ConfigError


@dataclass(frozen=True)
class Part:
    """A dict whose `type` is one of a group of the table, with the fields of that type."""

    group: str

    def checked(self, value: Any, where: str, left_out: list[str]) -> dict[str, Any]:
        if type(value) is not dict:
            raise Refused(where, f'is {shown(value)}, not a dict with a type')
        name, known = value.get('type'), ALLOWED[self.group]
        if type(name) is not str or name not in known:
            raise Refused(where, f'names the type {shown(name)}, no {self.group} of the list')
        inner = {key: item for key, item in value.items() if key != 'type'}
        return {'type': name, **known[name].checked(inner, where, left_out)}


# --- the table ------------------------------------------------------------------------------------

FLAG, NOTHING = Choice(True, False), Choice(None)
CHANNELS, SMALL, INDEX = Integer(1, 8192), Integer(1, 64), Integer(-8, 8)
SHARE, PIXELS = Number(0, 1), Integer(1, 8192)
SMALLS, INDICES, ALL_CHANNELS = Items(SMALL), Items(INDEX), Items(CHANNELS)
CONVOLUTIONS: dict[str, Kind] = dict(
    conv_cfg=or_none(Part('convolution')), norm_cfg=or_none(Part('norm'))
)
LAYERS: dict[str, Kind] = dict(act_cfg=or_none(Part('activation')), **CONVOLUTIONS)
MODULATION: dict[str, Kind] = dict(dcn=NOTHING, plugins=NOTHING)

SEGMENTOR = Fields(
    backbone=Part('encoder'),
    neck=or_none(Part('neck')),
    decode_head=Part('head'),
    auxiliary_head=Either(NOTHING, Part('head'), Items(Part('head'), most=4)),
    data_preprocessor=Part('preprocessor'),
    test_cfg=or_none(
        Fields(
            mode=Choice('whole', 'slide'),
            crop_size=Items(Integer(16, 8192), most=2),
            stride=Items(Integer(8, 8192), most=2),  # fewer pixels a step would take for ever
            max_windows=or_none(Integer(1, 1024)),
        )
    ),
)
PADDING: dict[str, Kind] = dict(
    size=or_none(Items(PIXELS, most=2)), size_divisor=or_none(Integer(1, 1024))
)
PREPROCESSOR = Fields(
    mean=or_none(Items(Number(-1e4, 1e4), most=3)),
    std=or_none(Items(Number(1e-4, 1e4), most=3)),
    pad_val=Number(-1e4, 1e4),
    seg_pad_val=Integer(0, 255),
    bgr_to_rgb=FLAG,
    rgb_to_bgr=FLAG,
    test_cfg=or_none(Fields(**PADDING)),
    **PADDING,
)
RESNET: dict[str, Kind] = dict(
    depth=Choice(18, 34, 50, 101, 152),
    in_channels=SMALL,
    stem_channels=CHANNELS,
    base_channels=CHANNELS,
    num_stages=Integer(1, 4),
    strides=SMALLS,
    dilations=SMALLS,
    out_indices=INDICES,
    style=Choice('pytorch', 'caffe'),
    deep_stem=FLAG,
    avg_down=FLAG,
    stage_with_dcn=Items(Choice(False)),
    multi_grid=or_none(SMALLS),
    contract_dilation=FLAG,
    zero_init_residual=FLAG,
    **CONVOLUTIONS,
    **MODULATION,
)
HEAD: dict[str, Kind] = dict(
    in_channels=Either(CHANNELS, ALL_CHANNELS),
    channels=CHANNELS,
    num_classes=Integer(1, 1024),
    out_channels=or_none(Integer(1, 1024)),
    threshold=or_none(SHARE),
    dropout_ratio=SHARE,
    in_index=Either(INDEX, INDICES),
    input_transform=Choice(None, 'resize_concat', 'multiple_select'),
    align_corners=FLAG,
    **LAYERS,
)
FCN: dict[str, Kind] = dict(
    num_convs=Integer(0, 16), kernel_size=SMALL, concat_input=FLAG, dilation=SMALL, **HEAD
)
#: timm's names of the foundation encoders; any name would let a file choose any network of timm.
VITS = Choice(
    *(
        f'vit_{size}_{kind}'
        for size in ('small', 'base', 'large')
        for kind in (
            'patch14_dinov2', 'patch14_reg4_dinov2', 'patch16_dinov3', 'patch16_dinov3_qkvb',
        )
    ),
    *(f'vit_{size}_patch16_{kind}' for size in ('small_plus', 'huge_plus')
      for kind in ('dinov3', 'dinov3_qkvb')),
    'vit_giant_patch14_dinov2',
    'vit_giant_patch14_reg4_dinov2',
    'vit_tiny_patch16_dinov3_qkvb',
)  # fmt: skip
CONVNEXTS = Choice(
    *(f'convnext_{size}{tag}' for size in ('tiny', 'small', 'base', 'large')
      for tag in ('', '.dinov3_lvd1689m'))
)  # fmt: skip
DAFORMER = Fields(
    embed_channels=CHANNELS, fusion=Choice('aspp', 'conv1x1'), dilations=SMALLS, **HEAD
)

#: Group -> class -> its fields. Nothing else is ever built from the config of a weight file.
ALLOWED: dict[str, dict[str, Fields]] = {
    'segmentor': {
        'EncoderDecoder': SEGMENTOR,
        'AdaptableEncoderDecoder': SEGMENTOR,
        'HRDAEncoderDecoder': SEGMENTOR,
    },
    'preprocessor': {'SegDataPreProcessor': PREPROCESSOR, 'AdaptationPreprocessor': PREPROCESSOR},
    'encoder': {
        'MiT': Fields(arch=Choice('b0', 'b1', 'b2', 'b3', 'b4', 'b5'), drop_path_rate=SHARE),
        'MixVisionTransformer': Fields(
            in_channels=SMALL,
            embed_dims=CHANNELS,
            num_stages=Integer(1, 4),
            num_layers=SMALLS,
            num_heads=SMALLS,
            patch_sizes=SMALLS,
            strides=SMALLS,
            sr_ratios=SMALLS,
            out_indices=INDICES,
            mlp_ratio=Integer(1, 16),
            qkv_bias=FLAG,
            drop_rate=SHARE,
            attn_drop_rate=SHARE,
            drop_path_rate=SHARE,
            act_cfg=Part('activation'),
            norm_cfg=Part('norm'),
        ),
        'ResNet': Fields(**RESNET),
        'ResNetV1c': Fields(**RESNET),
        'ResNetV1d': Fields(**RESNET),
        'ResNetEncoder': Fields(**RESNET),
        'ResNeXt': Fields(groups=SMALL, base_width=SMALL, **RESNET),
        'MobileNetV2': Fields(
            widen_factor=Number(0.1, 4),
            strides=SMALLS,
            dilations=SMALLS,
            out_indices=INDICES,
            **LAYERS,
        ),
        'UNet': Fields(
            in_channels=SMALL,
            base_channels=CHANNELS,
            num_stages=Integer(1, 8),
            strides=SMALLS,
            enc_num_convs=SMALLS,
            dec_num_convs=SMALLS,
            downsamples=Items(FLAG),
            enc_dilations=SMALLS,
            dec_dilations=SMALLS,
            upsample_cfg=Part('upsampling'),
            **LAYERS,
            **MODULATION,
        ),
        'EfficientNetLite0': Fields(),
        'EfficientNetLite2': Fields(),
        'TimmViT': Fields(
            model_name=VITS,
            out_indices=Items(Integer(-64, 63)),
            scale=or_none(Number(0.1, 4)),
            positions=Choice('timm', 'hub'),
            drop_path_rate=SHARE,
        ),
        'TimmConvNeXt': Fields(model_name=CONVNEXTS, drop_path_rate=SHARE),
    },
    'neck': {
        'FPN': Fields(
            in_channels=ALL_CHANNELS,
            out_channels=CHANNELS,
            num_outs=SMALL,
            start_level=INDEX,
            end_level=INDEX,
            add_extra_convs=Choice(True, False, 'on_input', 'on_lateral', 'on_output'),
            extra_convs_on_inputs=FLAG,
            relu_before_extra_convs=FLAG,
            no_norm_on_lateral=FLAG,
            upsample_cfg=Fields(mode=Choice('nearest', 'bilinear')),
            **LAYERS,
        )
    },
    'head': {
        'HRDAHead': Fields(
            head=Part('single-scale head'),
            scale_attention=Part('single-scale head'),
            detail_stride=Number(0.125, 1),
            truncate_boxes=FLAG,
        ),
        'DAFormerHead': DAFORMER,
        'LightHead': Fields(**HEAD),
        'DeepLabV2Head': Fields(dilations=SMALLS, **HEAD),
        'RefineNetHead': Fields(coarsest_channels=CHANNELS, **HEAD),
        'SegformerHead': Fields(interpolate_mode=Choice('bilinear', 'nearest'), **HEAD),
        'FCNHead': Fields(**FCN),
        'DepthwiseSeparableFCNHead': Fields(dw_act_cfg=or_none(Part('activation')), **FCN),
        'PSPHead': Fields(pool_scales=SMALLS, **HEAD),
        'UPerHead': Fields(pool_scales=SMALLS, **HEAD),
        'ASPPHead': Fields(dilations=SMALLS, **HEAD),
        'DepthwiseSeparableASPPHead': Fields(
            c1_in_channels=Integer(0, 8192), c1_channels=Integer(0, 8192), dilations=SMALLS, **HEAD
        ),
        'FPNHead': Fields(feature_strides=SMALLS, **HEAD),
    },
    'single-scale head': {'DAFormerHead': DAFORMER},
    'convolution': {'Conv2d': Fields(), 'Conv': Fields()},
    'norm': {
        **dict.fromkeys(
            ('BN', 'SyncBN', 'MMSyncBN', 'LN'),
            Fields(requires_grad=FLAG, eps=SHARE, momentum=or_none(SHARE)),
        ),
        'GN': Fields(requires_grad=FLAG, eps=SHARE, num_groups=Integer(1, 8192)),
    },
    'activation': {
        **dict.fromkeys(('ReLU', 'ReLU6', 'HSwish', 'SiLU'), Fields(inplace=FLAG)),
        'LeakyReLU': Fields(inplace=FLAG, negative_slope=SHARE),
        'GELU': Fields(),
    },
    'upsampling': {'InterpConv': Fields()},
    'test transform': {
        'LoadImageFromFile': Fields(),
        'LoadAnnotations': Fields(reduce_zero_label=FLAG),
        'Resize': Fields(
            scale=or_none(Items(PIXELS, most=2)),
            scale_factor=or_none(Either(Number(0.05, 8), Items(Number(0.05, 8), most=2))),
            keep_ratio=FLAG,
        ),
        'PackSegInputs': Fields(),
    },
}


def allowed_segmentor(model: Any, origin: str) -> tuple[dict[str, Any], list[str]]:
    """The part of a foreign network's config that may be built and written.

    Args:
        model: Config of a segmentor with its `data_preprocessor`, as plain data.
        origin: What to call its config in the message.

    Returns:
        A checked copy, and the paths of what was left out of it because it names start weights.

    Raises:
        ConfigError: A class, a field or a value that `ALLOWED` does not list.
    """
    left_out: list[str] = []
    try:
        return Part('segmentor').checked(model, 'model', left_out), left_out
    except Refused as refused:
        raise ConfigError(
            f'{origin} was refused: {refused.where} {refused.reason}. {OWN_CONFIG}'
        ) from None


def allowed_steps(steps: Any, origin: str) -> list[dict[str, Any]]:
    """What a foreign test pipeline does to an image: loading, resizing and packing.

    Args:
        steps: The pipeline, as plain data.
        origin: What to call its config in the message.

    Raises:
        ConfigError: A transform, a field or a value that is not listed.
    """
    try:
        return Items(Part('test transform')).checked(steps, 'test_pipeline', [])
    except Refused as refused:
        raise ConfigError(
            f'{origin} was refused: {refused.where} {refused.reason}. {OWN_CONFIG}'
        ) from None
