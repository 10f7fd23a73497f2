"""The layouts of published weight files, and telling them apart by the names of their entries."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from dsr_nss.checkpoints.resnet import convert_resnet
from dsr_nss.conversion.dsrnss import convert_dsrnss
from dsr_nss.conversion.foundation import (
    convert_encoder,
    convert_vfm_uda,
    refuse_vfm_uda_plusplus,
)
from dsr_nss.conversion.lhoyer import convert_lhoyer
from dsr_nss.conversion.segformer import UNUSED, convert_segformer
from dsr_nss.errors import CheckpointError
from dsr_nss.matching.weights import convert_uawarpc, convert_vgg16

#: What of a file is wanted, for `--model`.
NETWORKS = ('student', 'teacher')
Convert = Callable[[Mapping[str, Tensor], str], dict[str, Tensor]]


@dataclass(frozen=True)
class Layout:
    """How one family of files names its entries.

    Attributes:
        names: Names on the command line; the first is the layout's own.
        title: Name that people read.
        kind: Kind of network that is made of it: a 'segmentor', an 'encoder' or an 'aligner'.
        mark: Regular expression that matches a name which files of this layout alone have.
        parts: Prefix -> what lies there; the longest prefix that fits decides. 'student' and
            'teacher' can be converted, everything else is left out.
        convert: Entries of one network -> the names of this package. Names that it does not know
            stay as they are, so that they are reported.
        joins: Whether it joins entries or leaves out tables that are computed anew, so that fewer
            ones mean nothing.
    """

    names: tuple[str, ...]
    title: str
    kind: str
    mark: str
    parts: Mapping[str, str]
    convert: Convert
    joins: bool = False

    @property
    def name(self) -> str:
        """Its own name."""
        return self.names[0]

    def part_of(self, entry: str) -> str | None:
        """Which part an entry belongs to; None if to no known one."""
        fitting = [prefix for prefix in self.parts if entry.startswith(prefix)]
        return self.parts[max(fitting, key=len)] if fitting else None


def _as_it_is(state_dict: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    return dict(state_dict)


def _strip(**prefixes: str) -> Convert:
    return lambda state, network: {k.removeprefix(prefixes[network]): v for k, v in state.items()}


_MATCHER = 'the matching network'
_FROZEN = 'the frozen encoder of the feature distance'
_CLASSIFIER = 'the ImageNet classifier'
_VFM_UDA = {'network.': 'student', 'network_ema.': 'teacher'}
_ENCODER = {'': 'student', 'head.': _CLASSIFIER, 'classifier.': _CLASSIFIER}
_NETWORK = {'backbone.': 'student', 'decode_head.': 'student'}

#: In the order in which they are tried.
LAYOUTS = (
    Layout(
        names=('run',),
        title='a training run of this package',
        kind='segmentor',
        mark=r'student\.(backbone|decode_head)\.',
        parts={
            'student.': 'student',
            'teacher.model.': 'teacher',
            '': 'the rest of the training state',
        },
        convert=_strip(student='student.', teacher='teacher.model.'),
    ),
    Layout(
        names=('vfm-uda-plusplus', 'vfm-uda'),
        title='VFM-UDA++ (PyTorch Lightning)',
        kind='segmentor',
        mark=r'network(_ema)?\.encoder\.spm\..*',
        parts=_VFM_UDA,
        convert=refuse_vfm_uda_plusplus,
    ),
    Layout(
        names=('vfm-uda',),
        title='VFM-UDA (PyTorch Lightning)',
        kind='segmentor',
        mark=r'network(_ema)?\.encoder\.patch_embed\..*',
        parts=_VFM_UDA,
        convert=convert_vfm_uda,
    ),
    Layout(
        names=('dsrnss', 'refign'),
        title='DSR-NSS and Refign (PyTorch Lightning)',
        kind='segmentor',
        mark=r'm_backbone\..*|(m_)?(backbone\.clf_conv|hrda_scale_attention)\..*'
        r'|(m_)?head\.(conv_seg|embed_layers|fuse_layer|conv2d_list)\..*',
        parts={
            **{f'{part}.': 'student' for part in ('backbone', 'head', 'hrda_scale_attention')},
            **{f'm_{part}.': 'teacher' for part in ('backbone', 'head', 'hrda_scale_attention')},
            'imnet_backbone.': _FROZEN,
            'alignment_backbone.': _MATCHER,
            'alignment_head.': _MATCHER,
        },
        convert=convert_dsrnss,
    ),
    Layout(
        names=('segformer',),
        title='SegFormer (a whole network)',
        kind='segmentor',
        mark=r'decode_head\.linear_(c\d|fuse)\..*',
        parts={**_NETWORK, **{name: 'a classifier that is never used' for name in UNUSED}},
        convert=lambda state, network: convert_segformer(state),
    ),
    Layout(
        names=('hrda', 'mic', 'daformer'),
        title='HRDA, MIC and DAFormer (mmseg 0.x)',
        kind='segmentor',
        mark=r'model\.(backbone|decode_head)\..*|decode_head\.(embed_layers|head|scale_attention)\..*',
        parts={
            **_NETWORK,
            'model.': 'student',
            'ema_model.': 'teacher',
            'imnet_model.': _FROZEN,
            'mic.': "MIC's teacher of masked images",
        },
        convert=convert_lhoyer,
    ),
    Layout(
        names=('mmseg',),
        title='mmseg (a whole network)',
        kind='segmentor',
        mark=r'(backbone|decode_head)\..*',
        parts={**_NETWORK, 'neck.': 'student', 'auxiliary_head.': 'student'},
        convert=_as_it_is,
    ),
    Layout(
        names=('transformers',),
        title='DINOv2 or DINOv3 of transformers',
        kind='encoder',
        mark=r'(\w+\.)?embeddings\.patch_embeddings\..*',
        parts=_ENCODER,
        convert=lambda state, network: convert_encoder(state),
        joins=True,
    ),
    Layout(
        names=('dinov3',),
        title='DINOv3 or EUPE (torch.hub)',
        kind='encoder',
        mark=r'storage_tokens|downsample_layers\.0\..*',
        parts=_ENCODER,
        convert=lambda state, network: convert_encoder(state),
        joins=True,
    ),
    Layout(
        names=('dinov2',),
        title='DINOv2 (torch.hub)',
        kind='encoder',
        mark=r'mask_token',
        parts=_ENCODER,
        convert=lambda state, network: convert_encoder(state),
    ),
    Layout(
        names=('timm',),
        title='timm',
        kind='encoder',
        mark=r'(timm_model\.)?(patch_embed\.proj|stages\.0\.blocks\.0\.conv_dw)\..*',
        parts=_ENCODER,
        convert=lambda state, network: convert_encoder(state),
    ),
    Layout(
        names=('uawarpc',),
        title='UAWarpC (Refign and DSR-NSS)',
        kind='aligner',
        mark=r'alignment_head\..*',
        parts={
            'alignment_backbone.': 'student',
            'alignment_head.': 'student',
            '': 'segmentation networks',
        },
        convert=lambda state, network: convert_uawarpc(state),
    ),
    Layout(
        names=('uawarpc',),
        title='UAWarpC (a head alone, or a training run of this package)',
        kind='aligner',
        mark=r'(.*\.)?decoder4\.conv.*',
        parts={'': 'student'},
        convert=lambda state, network: convert_uawarpc(state),
    ),
    Layout(
        names=('segformer',),
        title='MiT (SegFormer), trained on ImageNet',
        kind='encoder',
        mark=r'patch_embed1\..*',
        parts={'': 'student', 'head.': _CLASSIFIER},
        convert=_as_it_is,
    ),
    Layout(
        names=('mmseg',),
        title="mmseg's MiT, trained on ImageNet",
        kind='encoder',
        mark=r'layers\.0\.0\.projection\..*',
        parts={'': 'student'},
        convert=_as_it_is,
    ),
    Layout(
        names=('mmseg',),
        title="mmseg's ResNet v1c, trained on ImageNet",
        kind='encoder',
        mark=r'stem\.0\..*',
        parts={'': 'student', 'fc.': _CLASSIFIER},
        convert=lambda state, network: convert_resnet(state),
    ),
    Layout(
        names=('torchvision',),
        title="torchvision's ResNet, trained on ImageNet",
        kind='encoder',
        mark=r'layer1\.0\.conv1\..*',
        parts={'': 'student', 'fc.': _CLASSIFIER},
        convert=lambda state, network: convert_resnet(state),
    ),
    Layout(
        names=('torchvision',),
        title="torchvision's VGG-16, trained on ImageNet",
        kind='encoder',
        mark=r'features\.0\..*',
        parts={'': 'student', 'classifier.': _CLASSIFIER},
        convert=lambda state, network: convert_vgg16(state),
    ),
)

#: What `--as` takes besides 'auto'.
LAYOUT_NAMES = tuple(
    dict.fromkeys(n for layout in LAYOUTS for n in layout.names if layout.name != 'run')
)


def detect_layout(names: Iterable[str], wanted: str = 'auto') -> Layout:
    """The layout of a file by the names of its entries.

    Args:
        names: Names of all tensors of the file.
        wanted: 'auto', or one of `LAYOUT_NAMES`: only that one is tried. 'mmseg' also takes every
            other layout of a segmentor, for it can be written as an mmseg one.

    Raises:
        ValueError: Another `wanted`.
        CheckpointError: No layout fits; the message says what the names begin with.
    """
    if wanted != 'auto' and wanted not in LAYOUT_NAMES:
        raise ValueError(f"layout must be 'auto' or one of {LAYOUT_NAMES}, got {wanted!r}")
    names = list(names)
    fitting = [layout for layout in LAYOUTS if _fits(layout, names)]
    if wanted != 'auto':
        found = ', '.join(dict.fromkeys(layout.title for layout in fitting)) or 'none that is known'
        fitting = [
            layout
            for layout in fitting
            if wanted in layout.names or (wanted == 'mmseg' and layout.kind == 'segmentor')
        ]
        if not fitting:
            raise CheckpointError(f'not the layout {wanted}: its entries fit {found}')
    if not fitting:
        raise CheckpointError(
            f'no known layout; its names begin with {", ".join(beginnings(names)[:8])}'
        )
    return fitting[0]


def _fits(layout: Layout, names: list[str]) -> bool:
    mark = re.compile(layout.mark)
    return any(mark.match(name) for name in names)


def beginnings(names: Iterable[str]) -> list[str]:
    """The first parts of dotted names, once each, in their order."""
    return list(dict.fromkeys(name.split('.')[0] for name in names))
