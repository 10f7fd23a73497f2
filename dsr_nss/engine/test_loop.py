"""The set that mmsegmentation's own programs test on; ours read `test_sets`, which are many."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config


def first_test_loop(test_sets: Mapping[str, Any], default: Sequence[str] = ()) -> dict[str, Any]:
    """What mmsegmentation's `tools/test.py` and `MMSegInferencer` read, of the first set.

    Args:
        test_sets: Name -> config of a data set.
        default: Names of those that are tested when none is named; none: the first of all.
    """
    name = next(iter(default), None) or next(iter(test_sets))
    return dict(
        test_dataloader=dict(
            batch_size=1,
            num_workers=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            # mmsegmentation changes the pipeline that it finds
            dataset=copy.deepcopy({**test_sets[name], 'test_mode': True}),
        ),
        test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        test_cfg=dict(type='TestLoop'),
    )


def add_test_loop(config: Config) -> None:
    """Gives a config that has `test_sets` what `first_test_loop` says, unless it has its own.

    Args:
        config: It changes.
    """
    sets, default = config.get('test_sets') or {}, config.get('default_test_sets') or ()
    if sets and 'test_dataloader' not in config:
        config.merge_from_dict(first_test_loop(sets, [name for name in default if name in sets]))
