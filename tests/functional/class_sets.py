"""Sets of classes as the functions take them."""

import torch


def mask_of(ids, classes):
    """`(classes,)` bool, True at `ids`."""
    return torch.tensor([i in ids for i in range(classes)])
