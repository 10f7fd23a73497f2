"""Published ResNet weights: torchvision's files and mmseg's.

Both name the four stages alike, as mmseg's `ResNet` does; they differ in the stem, one 7x7
convolution (v1: `conv1`, `bn1`) or three 3x3 ones (v1c: `stem.*`). The encoder may lie under a
prefix, as in a segmentation checkpoint (`backbone.`).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dsr_nss.checkpoints.reading import entries_below, load_strictly, prefixes_of, read_state_dict
from dsr_nss.errors import CheckpointError

MARK = 'layer1.0.conv1.weight'
#: The entry that tells the stem, and what to call it.
STEMS = {
    'conv1.weight': 'one 7x7 convolution (v1, torchvision; `deep_stem=False`)',
    'stem.0.weight': 'three 3x3 convolutions (v1c, mmseg; `deep_stem=True`)',
}

HINT = (
    "Get it from torchvision (v1, e.g. resnet101-63fe2227.pth) or from mmseg's model zoo (v1c, "
    'e.g. resnet101_v1c-e67eebb6.pth) and place it there, or start from random weights with '
    '`--cfg-options model.student.backbone.init_cfg=None` and, where the config has it, '
    '`model.feature_distance=None`'
)


def load_resnet(encoder: nn.Module, path: str | Path, prefix: str = '') -> None:
    """Load a published file into mmseg's `ResNet`.

    Args:
        encoder: The network of the same depth and stem.
        path: A file in one of the formats above.
        prefix: Where the encoder lies, for files that hold several, as this package's runs do:
            `'student.backbone.'`, `'teacher.model.backbone.'`.

    Raises:
        FileNotFoundError: No such file; the message says where to get it and how to do without.
        CheckpointError: Not a ResNet file, or one of another depth or stem.
    """
    state_dict = read_state_dict(path, HINT, prefix)
    try:
        converted = convert_resnet(state_dict)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    theirs, ours = _stem(converted), _stem(encoder.state_dict())
    if theirs and theirs != ours:
        raise CheckpointError(f'{path}: its stem is {theirs}, the network wants {ours}')
    load_strictly(encoder, converted, path)


def convert_resnet(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of a published state dict, under the names of mmseg's `ResNet`.

    Args:
        state_dict: A classifier or a segmentation network in one of the formats above.

    Returns:
        The entries of the encoder alone. Counters of batches, which files from before torch 0.4.1
        lack, are 0: they matter only to batch norms without a momentum.

    Raises:
        CheckpointError: No ResNet among the names, or several.
    """
    prefixes = prefixes_of(MARK, state_dict)
    if len(prefixes) != 1:
        found = ', '.join(repr(prefix) for prefix in prefixes) or 'none'
        raise CheckpointError(
            f'expected one ResNet, with an entry that ends with {MARK!r}; found under the '
            f'prefixes: {found}. Of several, init_cfg.prefix names the one'
        )
    whole = entries_below(prefixes[0], state_dict)
    encoder = {name: tensor for name, tensor in whole.items() if not name.startswith('fc.')}
    for name in list(encoder):
        if name.endswith('.running_var'):
            counter = name.removesuffix('running_var') + 'num_batches_tracked'
            encoder.setdefault(counter, torch.zeros((), dtype=torch.int64))
    return encoder


def _stem(names: Mapping[str, Tensor]) -> str | None:
    return next((text for name, text in STEMS.items() if name in names), None)
