"""Two processes with one image each, and one process with both: what differs, and nothing else.

Two processes average their gradients (`test_ddp` shows that they do exactly this); here they are
two models in one process.
"""

import pytest
import torch
from mmengine.registry import init_default_scope

from tests.models.segmentors.conftest import build, dsr_config, make_items
from tests.models.segmentors.networks import deeplabv2_config

LR = 0.05
STEPS = 2


def config(**parts):
    """The method without anything that looks at more than one image, or that draws by process."""
    whole = dsr_config()
    student = deeplabv2_config(width=8)
    student['backbone']['norm_eval'] = not parts.get('norms', False)
    changed = dict(
        student=student,
        teacher=dict(whole['teacher'], teacher_bn=parts.get('teacher_bn', 'running')),
        mixup=dict(whole['mixup'], random_half=parts.get('random_half', False)),
        alignment=dict(whole['alignment'], prototype_scope=parts.get('scope', 'image')),
        confidence_threshold=parts.get('threshold', 0.0),
    )
    for name in ('bank', 'augmentation', 'feature_distance'):
        changed[name] = whole[name] if parts.get(name) else None
    if changed['feature_distance'] is not None:  # zero in the first step, then small
        changed['feature_distance'] = {**changed['feature_distance'], 'weight': 10.0}
    return {**whole, **changed}


def batch(step):
    items = make_items(seed=step)
    # more pixels of a class in one image than in the other
    items['source_label'][0, :, :40] = 13
    items['source_label'][1, 40:, :24] = 15
    return items


def part_of(items, rank):
    return {name: value[rank : rank + 1] for name, value in items.items()}


def train(models, batches_of_rank):
    """The student after steps with averaged gradients."""
    for step in range(STEPS):
        for rank, model in enumerate(models):
            torch.manual_seed(10 * rank + step)
            model.zero_grad()
            items = batches_of_rank(batch(step), rank)
            losses = model(model.data_preprocessor(items, training=True), mode='loss')
            model.parse_losses(losses)[0].backward()
        for together in zip(*(model.student.parameters() for model in models), strict=True):
            mean = torch.stack([p.grad for p in together]).mean(0)
            for parameter in together:
                parameter.data -= LR * mean
        for model in models:
            model.after_step()
    return {name: value.clone() for name, value in models[0].student.named_parameters()}


def largest_difference(**parts):
    """Relative, over the change that training makes, between 2 x 1 and 1 x 2."""
    init_default_scope('mmseg')
    start = {k: v.clone() for k, v in build(config(**parts)).student.named_parameters()}
    two = train([build(config(**parts)) for _ in range(2)], part_of)
    one = train([build(config(**parts))], lambda items, rank: items)
    return max(
        float((two[name] - one[name]).norm() / (one[name] - start[name]).norm().clamp(min=1e-6))
        for name in start
    )


@pytest.mark.parametrize('teacher_bn', ['running', 'batch'])
def test_without_them_both_are_equal(teacher_bn):
    """Batch norms that are frozen in the student are frozen in the teacher."""
    assert largest_difference(teacher_bn=teacher_bn) < 1e-3


@pytest.mark.parametrize(
    'part',
    [
        dict(norms=True),  # statistics of the batch of a process
        dict(scope='batch'),  # prototypes over the batch of a process
        dict(threshold=0.06),  # the weight q is one number of a process
        dict(feature_distance=True),  # mean over the cells of a process
        dict(bank=True),  # one store a process, pasted on its images
        dict(augmentation=True),  # drawn from the generator of a process
        dict(random_half=True),
    ],
    ids=str,
)
def test_each_of_them_makes_a_difference(part):
    assert largest_difference(**part) > 1e-2
