"""Low-rank adapters (LoRA) for vision transformers of timm, through the library peft.

Sources: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2022; Yun et al., "SoMA:
Singular Value Decomposed Minor Components Adaptation for Domain Generalizable Representation
Learning", 2025.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import nn

from dsr_nss.errors import ConfigError
from dsr_nss.values import Bounds, Count, FieldsOf, OneOf, checked

STARTS = ('lora', 'soma')


@checked
@dataclass(frozen=True)
class LoRA:
    """The field `lora` of an encoder: everything in it but the adapters is frozen.

    Attributes:
        rank: Rank of what is added to each weight.
        alpha: Numerator of its factor `alpha / rank`; None: the rank.
        targets: Names of the linear layers in each block that are adapted; a `VisionTransformer`
            has `'qkv'`, `'proj'`, `'fc1'` and `'fc2'`.
        first_block: The first block that is adapted, counted from 0.
        start: `'lora'`: the adapters add nothing at first. `'soma'`: each takes the directions of
            the smallest singular values out of its weight, so that the sum is the same at first.

    Raises:
        ConfigError: A value outside its range.
    """

    rank: Count = 16
    alpha: Count | None = None
    targets: Sequence[str] = ('qkv', 'proj')
    first_block: Annotated[int, Bounds(0)] = 0
    start: Annotated[str, OneOf(STARTS)] = 'lora'

    def __post_init__(self) -> None:
        if not self.targets:
            raise ConfigError('LoRA.targets must be names of layers, got none')

    @property
    def numerator(self) -> int:
        """`alpha`, or what stands for it."""
        return self.rank if self.alpha is None else self.alpha


#: The field of an encoder's config.
LoRAFields = Annotated[dict, FieldsOf(LoRA)]


def add_adapters(network: Any, lora: LoRA) -> None:
    """Freeze a vision transformer of timm and add adapters to layers of its blocks, in place.

    Raises:
        ConfigError: peft is not installed, or the blocks have no layers of these names.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            f"lora needs the library peft ({error}): pip install -e '.[lora]'"
        ) from error
    # whole paths, since `proj` alone would also name the patch embedding
    paths = list(_targets(network, lora))
    for attention in network.modules():
        if getattr(attention, 'q_bias', None) is not None:
            attention.qkv_bias_separate = True  # timm would pass by the adapter of `qkv`
    inject_adapter_in_model(
        LoraConfig(r=lora.rank, lora_alpha=lora.numerator, target_modules=paths), network
    )


def _targets(network: Any, lora: LoRA) -> Iterator[str]:
    missing = set(lora.targets)
    for i, block in enumerate(network.blocks):
        for path, layer in block.named_modules():
            name = path.rpartition('.')[2]
            if i >= lora.first_block and name in lora.targets and isinstance(layer, nn.Linear):
                missing.discard(name)
                yield f'blocks.{i}.{path}'
    if missing:
        linear = (p for p, m in network.blocks[0].named_modules() if isinstance(m, nn.Linear))
        known = sorted({path.rpartition('.')[2] for path in linear})
        raise ConfigError(
            f'lora: no linear layer {sorted(missing)} in the blocks from {lora.first_block} on; '
            f'there are {len(network.blocks)} blocks with {known}'
        )


@torch.no_grad()
def start_from_minor_directions(network: nn.Module) -> None:
    """SoMA's start of all adapters: `B A` takes the smallest singular values out of the weight.

    The sum of both, which the network computes with, stays what the weight was. peft has such a
    start for the largest singular values only.
    """
    from peft.tuners.lora import Linear

    for layer in network.modules():
        if isinstance(layer, Linear):
            down, up = layer.lora_A['default'].weight, layer.lora_B['default'].weight
            factor, weight = layer.scaling['default'], layer.base_layer.weight
            left, values, right = torch.linalg.svd(weight.float(), full_matrices=False)
            root = (values[-len(down) :] / factor).sqrt()
            up.copy_(left[:, -len(down) :] * root)
            down.copy_(root[:, None] * right[-len(down) :])
            weight.sub_(factor * (up @ down))
