"""Checkpoints of DAFormer, HRDA and MIC, which are written with mmseg 0.x.

The networks have the names of this package. A training checkpoint holds several of them: the
student under `model.`, the teacher under `ema_model.`, and the ImageNet network of the feature
distance; one of a network alone has no prefix.
"""

from collections.abc import Mapping

from torch import Tensor

PREFIXES = {'student': 'model.', 'teacher': 'ema_model.'}
#: The parallel classifiers of DeepLabv2, as theirs and as `DeepLabV2Head` names them.
BRANCHES = ('decode_head.aspp_modules.', '.conv.'), ('decode_head.branches.', '.')


def convert_lhoyer(state_dict: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """One network of a training checkpoint, or a network alone, as the state dict of a segmentor.

    Args:
        state_dict: Name -> weights `(...)` of that network alone.
        network: 'student' or 'teacher'.
    """
    (theirs, inner), (ours, plain) = BRANCHES
    converted = {}
    for name, tensor in state_dict.items():
        name = name.removeprefix(PREFIXES[network])
        if name.startswith(theirs):
            name = name.replace(theirs, ours).replace(inner, plain)
        converted[name] = tensor
    return converted
