"""Whose ids a label holds that are not those of the classes."""

from collections.abc import Sequence

from dsr_nss.classes import CLASSES, IGNORE_INDEX
from dsr_nss.commands import call

#: The largest label id of Cityscapes, whose train ids end at 18.
_LABEL_ID_MAX = 33


def likely_cause(ids: Sequence[int], num_classes: int) -> str:
    """Why a label may hold ids that are no class, and what to do, in one sentence.

    Args:
        ids: The ids in the label, some of them too large.
        num_classes: Number of classes.
    """
    present = [i for i in ids if i != IGNORE_INDEX]
    if max(present) == num_classes and 0 not in present:
        return 'They seem to begin at 1; ids begin at 0: subtract 1'
    if num_classes == len(CLASSES) and max(present) <= _LABEL_ID_MAX:
        return (
            'They look like label ids; convert them to train ids (Cityscapes: '
            f'`{call("prepare_data")} cityscapes ROOT`)'
        )
    if max(present) == num_classes:
        return (
            f'There is one id more than classes: name a class for each of 0..{num_classes}, or '
            f'give pixels of no class the id {IGNORE_INDEX}'
        )
    return (
        'State all classes in the order of their ids (`classes.names` of the config), or convert '
        'the labels'
    )
