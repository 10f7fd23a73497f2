"""Checkpoints of the SegFormer authors, and the head that Refign and DSR-NSS took from them.

The head embeds each level by a linear layer, joins the levels coarse to fine, and fuses them by one
1x1 convolution; a `DAFormerHead` with `fusion='conv1x1'` computes the same with the levels joined
fine to coarse. (mmseg's `SegformerHead` does not: it has a norm and a ReLU after each embedding.)
"""

from collections.abc import Mapping

import torch
from torch import Tensor

HEAD = 'decode_head.'
#: Modules of their head -> those of `DAFormerHead`.
HEAD_NAMES = {
    **{f'linear_c{i + 1}.proj': f'embed_layers.{i}.proj' for i in range(4)},
    'linear_fuse.conv': 'fuse_layer.conv',
    'linear_fuse.bn': 'fuse_layer.bn',
    'linear_pred': 'conv_seg',
}
#: Their head inherits this classifier from mmseg and never calls it.
UNUSED = ('decode_head.conv_seg.',)


def convert_segformer(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A whole network as the state dict of an `AdaptableEncoderDecoder`.

    Args:
        state_dict: Name -> weights `(...)`: `backbone.*` and `decode_head.*` without the unused
            classifier.

    Returns:
        The same entries for a `MiT` and a `DAFormerHead(fusion='conv1x1')`; names that their
        network does not have are left as they are.
    """
    converted = {}
    for name, tensor in state_dict.items():
        if name.startswith(HEAD):
            own, tensor = convert_head_entry(name.removeprefix(HEAD), tensor)
            name = HEAD + own
        converted[name] = tensor
    return converted


def convert_head_entry(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """One weight `(...)` of the head, with names inside it; an unknown one is left as it is."""
    module, _, kind = name.rpartition('.')
    if module == 'linear_fuse.conv' and tensor.dim() == 4:
        tensor = torch.cat(tensor.chunk(4, dim=1)[::-1], dim=1)  # its input: the four levels
    return (f'{HEAD_NAMES[module]}.{kind}' if module in HEAD_NAMES else name), tensor
