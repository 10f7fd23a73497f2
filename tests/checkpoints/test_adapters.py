"""Adapters in state dicts: merged, completed and put onto a plain network, without peft."""

import pytest
import torch

from dsr_nss.checkpoints.adapters import merge_adapters, onto_adapters
from dsr_nss.errors import CheckpointError

LAYER = 'backbone.timm_model.blocks.0.attn.qkv'


def network(prefix='', seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        f'{LAYER}.base_layer.weight': (6, 4),
        f'{LAYER}.base_layer.bias': (6,),
        f'{LAYER}.lora_A.default.weight': (2, 4),
        f'{LAYER}.lora_B.default.weight': (6, 2),
        'backbone.timm_model.norm.weight': (4,),
        'decode_head.conv_seg.weight': (3, 4),
    }
    state = {prefix + k: torch.randn(shape, generator=generator) for k, shape in shapes.items()}
    return {**state, f'{prefix}backbone.lora_alpha': torch.tensor(6)}


@pytest.mark.parametrize('prefix', ['', 'student.'])
def test_merging_adds_the_scaled_product_and_leaves_plain_names(prefix):
    state = network(prefix)
    plain = merge_adapters(state, 'x')
    layer, rest = prefix + LAYER, [f'{prefix}backbone.timm_model.norm.weight']
    assert sorted(plain) == sorted(
        [f'{layer}.weight', f'{layer}.bias', *rest, f'{prefix}decode_head.conv_seg.weight']
    )
    down, up = (state[f'{layer}.lora_{part}.default.weight'].double() for part in 'AB')
    expected = state[f'{layer}.base_layer.weight'].double() + 6 / 2 * up @ down
    torch.testing.assert_close(plain[f'{layer}.weight'].double(), expected, rtol=0, atol=1e-5)
    assert torch.equal(plain[f'{layer}.bias'], state[f'{layer}.base_layer.bias'])
    assert merge_adapters(plain, 'x') == plain


def test_the_teacher_gets_the_frozen_part_of_the_students_encoder_alone():
    student, teacher = network('student.'), network('teacher.model.', seed=1)
    frozen = [
        'backbone.timm_model.norm.weight',
        f'{LAYER}.base_layer.weight',
        f'{LAYER}.base_layer.bias',
    ]
    for name in (*frozen, 'decode_head.conv_seg.weight'):
        del teacher[f'teacher.model.{name}']
    plain = merge_adapters(student | teacher, 'x')
    norm = 'backbone.timm_model.norm.weight'
    assert torch.equal(plain[f'teacher.model.{norm}'], student[f'student.{norm}'])
    weights = [plain[f'{part}{LAYER}.weight'] for part in ('student.', 'teacher.model.')]
    assert not torch.equal(*weights)
    # what a teacher has for itself and a damaged file lacks stays missing
    assert 'teacher.model.decode_head.conv_seg.weight' not in plain
    for part in ('lora_A', 'lora_B'):
        without = {
            k: v
            for k, v in (student | teacher).items()
            if k != f'teacher.model.{LAYER}.{part}.default.weight'
        }
        with pytest.raises(
            CheckpointError, match=f'x: the adapter of teacher.model.{LAYER} is not'
        ):
            merge_adapters(without, 'x')


def test_adapters_that_do_not_fit_are_refused():
    state = network()
    state[f'{LAYER}.lora_B.default.weight'] = torch.zeros(5, 2)
    with pytest.raises(CheckpointError, match=r'is for a weight of \(5, 4\), but the layer'):
        merge_adapters(state, 'x')
    for name, value in (
        ('backbone.lora_alpha', torch.zeros(2)),
        (f'{LAYER}.lora_A.default.weight', torch.zeros(0, 4)),
        (f'{LAYER}.lora_A.default.weight', torch.tensor(0.0)),
        (f'{LAYER}.lora_A.default.weight', torch.zeros(3, 4)),
    ):
        with pytest.raises(CheckpointError, match='is not whole'):
            merge_adapters({**network(), name: value}, 'x')


def test_plain_entries_go_onto_base_layers_and_the_adapters_keep_their_own():
    own, other = network(), merge_adapters(network(seed=1), 'x')
    fitted = onto_adapters(other, own)
    assert fitted.keys() == own.keys()
    assert torch.equal(fitted[f'{LAYER}.base_layer.weight'], other[f'{LAYER}.weight'])
    assert fitted[f'{LAYER}.lora_A.default.weight'] is own[f'{LAYER}.lora_A.default.weight']
    assert onto_adapters(other, other) == other
