"""Published weights of the matching network (UAWarpC) and of its VGG-16 features.

Layouts, told apart by their names:

- DSR-NSS and Refign checkpoints: `alignment_backbone.*` (features), `alignment_head.*`, and the
  segmentation networks, which are left out;
- the head alone, with `alignment_head.` before its names or without;
- training runs of this package: `pyramid.*` and `head.*` of a `MatchingNetwork`, under any prefix;
- torchvision's VGG-16, for the features of a head alone.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from dsr_nss.checkpoints.reading import entries_below, load_strictly, prefixes_of, read_state_dict
from dsr_nss.commands import call, typed
from dsr_nss.errors import CheckpointError

if TYPE_CHECKING:
    from dsr_nss.matching.network import MatchingNetwork

OWN_MARK = 'head.decoder4.conv0.conv.weight'
PUBLISHED_MARK = 'decoder4.conv_0.conv.weight'
PUBLISHED_HEAD, PUBLISHED_BACKBONE = 'alignment_head.', 'alignment_backbone.'
#: First layer of VGG-16 behind its fourth pooling; nothing here runs it.
UNUSED_FROM = 24

#: Published names in the head -> ours; `U` stands for the published name of the log-variance.
HEAD_NAMES = tuple(
    (pattern.replace('U', r'estimate_uncertainty_components(\d)'), name)
    for pattern, name in (
        (r'(decoder\d)\.conv_(\d)\.', r'\1.conv\2.'),
        (r'(decoder\d)\.conv0_skip\.', r'\1.shortcut2.'),
        (r'(decoder\d)\.conv2_skip\.', r'\1.shortcut4.'),
        (r'(decoder\d)\.predict_mapping\.', r'\1.predict.'),
        (r'refinement_module_adaptive\.dc_convs\.', 'refinement3.'),
        (r'refinement_module_finest\.dc_convs\.', 'refinement1.'),
        (r'U\.conv_0\.', r'log_variance\1.peak.0.'),
        (r'U\.conv_1\.', r'log_variance\1.peak.2.'),
        (r'U\.conv_2\.', r'log_variance\1.peak.3.'),
        (r'U\.predict_uncertainty\.', r'log_variance\1.peak.4.'),
        (r'U\.pred_conv_(\d)\.', r'log_variance\1.conv\2.'),
        (r'U\.predict_uncertainty_final\.', r'log_variance\1.predict.'),
    )
)

HINT = (
    'It holds the weights of the matching network. Convert a published one with '
    f'`{call("convert_checkpoint")} FILE {{path}} --as uawarpc` (of a DSR-NSS or Refign '
    'checkpoint, or UAWarpC trained on MegaDepth), or train one: '
    f'`{typed(["tools/train.py", "configs/align/uawarpc_megadepth.py"])}` (docs/alignment.md). '
    'To run without alignment: '
    '`--cfg-options model.refinement.aligner.type=Identity`'
)
VGG16_HINT = (
    'It holds the VGG-16 that torchvision publishes (vgg16-397923af.pth); place it there, or use '
    'weights of the matching network that hold the features too'
)


def load_uawarpc(network: 'MatchingNetwork', path: str | Path, prefix: str = '') -> None:
    """Load a file in one of the layouts above into a matching network.

    Args:
        network: The network. A file that holds the head alone leaves the pyramid as it is.
        path: A local file.
        prefix: Beginning of the names of the network, where the file holds others too.

    Raises:
        FileNotFoundError: No such file; the message says how to get one and how to do without.
        CheckpointError: Not a file of this network, or it holds the head alone and the config
            names no weights for the pyramid.
    """
    state_dict = read_state_dict(path, HINT.format(path=path), prefix)
    try:
        converted = convert_uawarpc(state_dict)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    if any(name.startswith('pyramid.') for name in converted):
        load_strictly(network, converted, path)
    elif network.pyramid.init_cfg is None:
        raise CheckpointError(
            f'{path} holds the matching head alone, without the features that it was trained on. '
            "For published heads these are torchvision's VGG-16: set `pyramid=dict(type="
            "'VGG16Pyramid', init_cfg=dict(type='Pretrained', "
            "checkpoint='data/pretrained/vgg16-397923af.pth'))` beside `init_cfg`"
        )
    else:
        head = {name.removeprefix('head.'): tensor for name, tensor in converted.items()}
        load_strictly(network.head, head, path)


def convert_uawarpc(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matching network in a state dict, under the names of `MatchingNetwork`.

    Args:
        state_dict: Name -> weights `(...)`, in any of the layouts above, but torchvision's.

    Returns:
        `head.*` and, where the file has them, `pyramid.*`. Names in a published head that are not
        known stay as they are, so that loading reports them.

    Raises:
        CheckpointError: No matching network among the names, or several.
    """
    own, published = prefixes_of(OWN_MARK, state_dict), prefixes_of(PUBLISHED_MARK, state_dict)
    if len(own) + len(published) != 1:
        found = ', '.join(repr(prefix) for prefix in own + published) or 'none'
        raise CheckpointError(
            f'expected one matching network, with an entry that ends with {OWN_MARK!r} or '
            f'{PUBLISHED_MARK!r}; found under the prefixes: {found}'
        )
    if own:
        named = entries_below(own[0], state_dict)
        return {k: v for k, v in named.items() if k.startswith(('head.', 'pyramid.'))}
    head = entries_below(published[0], state_dict)
    converted = {f'head.{_head_name(name)}': tensor for name, tensor in head.items()}
    if published[0].endswith(PUBLISHED_HEAD):
        prefix = published[0].removesuffix(PUBLISHED_HEAD) + PUBLISHED_BACKBONE
        features = convert_vgg16(entries_below(prefix, state_dict))
        converted |= {f'pyramid.{name}': tensor for name, tensor in features.items()}
    return converted


def load_vgg16(pyramid: nn.Module, path: str | Path, prefix: str = '') -> None:
    """Load torchvision's published VGG-16 into a `VGG16Pyramid`; `prefix` as in `load_uawarpc`.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: The file of another network.
    """
    load_strictly(pyramid, convert_vgg16(read_state_dict(path, VGG16_HINT, prefix)), path)


def convert_vgg16(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights `(...)` by torchvision's names, without what is behind the fourth pooling."""
    return {
        name: tensor
        for name, tensor in state_dict.items()
        if (match := re.match(r'features\.(\d+)\.', name)) and int(match[1]) < UNUSED_FROM
    }


def _head_name(name: str) -> str:
    for pattern, replacement in HEAD_NAMES:
        renamed, times = re.subn(f'^{pattern}', replacement, name)
        if times:
            return renamed
    return name
