"""Names of classes as a tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dsr_nss.classes import class_ids


def named_classes(names: Sequence[str], class_names: Sequence[str]) -> Tensor:
    """Which classes are meant: a buffer of a module, for indexing a GPU by a list waits for it.

    Args:
        names: Names of the classes that are meant.
        class_names: Names of all `C` classes; the position is the id.

    Returns:
        `(C,)` bool.

    Raises:
        ValueError: A name that is none of `class_names`.
    """
    mask = torch.zeros(len(class_names), dtype=torch.bool)
    mask[list(class_ids(names, class_names))] = True
    return mask
