"""Layer-wise decay of the learning rate: the earlier a layer, the slower it learns."""

import re
from collections.abc import Iterable

#: What lies before the first block of a vision transformer.
STEM = re.compile(r'(?:.*\.)?(cls_token|reg_token|mask_token|pos_embed|patch_embed|norm_pre)\b')
BLOCK = re.compile(r'(?:.*\.)?blocks\.(\d+)\.')


def rate_multipliers(names: Iterable[str], decay: float) -> dict[str, float]:
    """The share of the encoder's learning rate of each of its parameters.

    Block `i` of `L` has `decay ** (L - 1 - i)`; what lies before the blocks (patch, class and
    register tokens, positions) `decay ** L`; what lies behind them, the final norm, 1.

    Args:
        names: Names of all parameters of a vision transformer, frozen ones too, since the depth is
            told by them; blocks are `blocks.<i>.*`. None of a network without a trained encoder.
        decay: In (0, 1].

    Raises:
        ValueError: A decay outside (0, 1], or, with one below 1, names without blocks or with
            several rows of them: a pyramid has no single depth.
    """
    if not 0 < decay <= 1:
        raise ValueError(f'layer decay must lie in (0, 1], got {decay}')
    names = list(names)
    if decay == 1 or not names:
        return dict.fromkeys(names, 1.0)
    blocks = {name: BLOCK.match(name) for name in names}
    rows = {name[: match.start(1)] for name, match in blocks.items() if match}
    if len(rows) != 1:
        found = ', '.join(sorted(rows)) or 'none'
        raise ValueError(f'layer decay needs one row of blocks in the encoder; found: {found}')
    depth = 1 + max(int(match[1]) for match in blocks.values() if match)
    multipliers = {}
    for name, match in blocks.items():
        if match:
            multipliers[name] = decay ** (depth - 1 - int(match[1]))
        else:
            multipliers[name] = decay**depth if STEM.match(name) else 1.0
    return multipliers
