"""The learning rate of each layer of a vision transformer."""

import pytest
import torch
from mmengine.config import Config

from dsr_nss.engine.group_table import group_table
from dsr_nss.engine.layer_decay import rate_multipliers
from dsr_nss.engine.optim_constructor import GroupedOptimWrapperConstructor
from dsr_nss.errors import ConfigError
from dsr_nss.models.segmentors import SourceOnly

DEPTH, RATE, SHARE, DECAY = 12, 2e-4, 0.1, 0.9


def config(name='vit_small_patch14_dinov2', **paramwise):
    head = dict(type='FCNHead', in_channels=384, channels=8, num_classes=19, in_index=0)
    student = dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='TimmViT', model_name=name),
        decode_head=head,
    )
    return Config(
        dict(
            model=dict(
                type='SourceOnly',
                student=student,
                data_preprocessor=dict(type='AdaptationPreprocessor'),
            ),
            optim_wrapper=dict(
                type='OptimWrapper',
                constructor='GroupedOptimWrapperConstructor',
                optimizer=dict(type='AdamW', lr=RATE, weight_decay=0.01),
                paramwise_cfg=dict(backbone_lr_mult=SHARE, **paramwise),
            ),
        )
    )


def build(built):
    model = {key: value for key, value in built.model.items() if key != 'type'}
    with torch.device('meta'):
        return SourceOnly(**model)


def groups(built, model):
    wrapper = {k: v for k, v in built.optim_wrapper.items() if k != 'constructor'}
    paramwise = wrapper.pop('paramwise_cfg')
    return GroupedOptimWrapperConstructor(wrapper, paramwise)(model).optimizer.param_groups


def expected_rate(name):
    if 'backbone' not in name:
        return RATE
    parts = name.split('.')
    if 'blocks' in parts:
        block = int(parts[parts.index('blocks') + 1])
    else:
        block = DEPTH - 1 if parts[-2] == 'norm' else -1
    return RATE * SHARE * DECAY ** (DEPTH - 1 - block)


@pytest.mark.parametrize(
    'name',
    ['vit_small_patch14_dinov2', 'vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3'],
)
def test_every_parameter_is_in_one_group_and_has_the_rate_of_its_layer(name):
    built = config(name, layer_decay=DECAY)
    model = build(built)
    found = groups(built, model)
    names = {id(p): n for n, p in model.named_parameters()}
    listed = [names[id(p)] for group in found for p in group['params']]
    assert sorted(listed) == sorted(names.values())  # all of them, and each once
    for group in found:
        for parameter in group['params']:
            n = names[id(parameter)]
            assert group['lr'] == pytest.approx(expected_rate(n)), n
            whole = parameter.ndim > 1 and 'pos_embed' not in n
            assert group['weight_decay'] == (0.01 if whole else 0.0), n
    rates = {group['lr'] for group in found}
    assert len(found) == 2 * len(rates)
    assert len(rates) == DEPTH + 2


def test_without_layer_decay_there_are_four_groups():
    built = config()
    assert len(groups(built, build(built))) == 4


def test_everything_can_be_decayed():
    built = config(decay_all=True)
    found = groups(built, build(built))
    assert [group['weight_decay'] for group in found] == [0.01, 0.01]


def test_multipliers_by_formula():
    names = ['v.cls_token', 'v.patch_embed.proj.bias', 'v.blocks.0.x', 'v.blocks.2.y', 'v.norm.b']
    assert rate_multipliers(names, 0.5) == dict(
        zip(names, (0.125, 0.125, 0.25, 1.0, 1.0), strict=True)
    )
    assert rate_multipliers(['stage.0.weight'], 1.0) == {'stage.0.weight': 1.0}
    assert rate_multipliers([], 0.9) == {}


@pytest.mark.parametrize('frozen', [range(8, DEPTH), range(DEPTH)])
def test_frozen_blocks_change_no_rate_of_the_others(frozen):
    built = config(layer_decay=DECAY)
    model = build(built)
    parts = {f'student.backbone.timm_model.blocks.{i}.' for i in frozen}
    if len(frozen) == DEPTH:  # nothing of the encoder is trained
        parts = {'student.backbone.'}
    for name, parameter in model.named_parameters():
        if any(name.startswith(part) for part in parts):
            parameter.requires_grad_(False)
    names = {id(p): n for n, p in model.named_parameters()}
    found = [(names[id(p)], group['lr']) for group in groups(built, model) for p in group['params']]
    assert sorted(n for n, _ in found) == sorted(
        n for n, p in model.named_parameters() if p.requires_grad
    )
    for name, rate in found:
        assert rate == pytest.approx(expected_rate(name)), name


@pytest.mark.parametrize(
    'names, decay, message',
    [
        (['stem.weight'], 0.9, 'one row of blocks in the encoder; found: none'),
        (['stages.0.blocks.0.w', 'stages.1.blocks.0.w'], 0.9, 'stages.0.blocks., stages.1.blocks.'),
        (['blocks.0.w'], 1.1, 'must lie in'),
        (['blocks.0.w'], 0, 'must lie in'),
    ],
)
def test_what_has_no_layers_is_refused(names, decay, message):
    with pytest.raises(ValueError, match=message):
        rate_multipliers(names, decay)


def test_a_decay_that_does_not_fit_names_its_field():
    built = config(layer_decay=2.0)
    with pytest.raises(ConfigError, match='paramwise_cfg.layer_decay: .*must lie in'):
        groups(built, build(built))


def test_the_table_shows_every_group_and_what_is_frozen():
    lines = group_table(config(layer_decay=DECAY)).splitlines()
    assert lines[0].split() == ['rate', 'decay', 'tensors', 'values', 'names']
    assert len(lines) == 1 + 2 * (DEPTH + 2)
    last = next(line for line in lines if line.split()[0] == '2e-05' and 'blocks' in line)
    assert last.split()[-1] == 'student.backbone.timm_model.blocks.11.*'
    total = sum(int(line.split()[3].replace(',', '')) for line in lines[1:])
    built = config()
    assert total == sum(p.numel() for p in build(built).parameters())
