"""LoRA on vision transformers of timm."""

import functools
import sys

import pytest
import timm
import torch
from mmseg.registry import MODELS
from peft.tuners.lora import Linear
from torch import nn

from dsr_nss.checkpoints.adapters import merge_adapters
from dsr_nss.checkpoints.reading import load_strictly
from dsr_nss.engine.optim_constructor import GroupedOptimWrapperConstructor
from dsr_nss.engine.start import load_start
from dsr_nss.errors import ConfigError
from dsr_nss.models.teacher import EMATeacher

NAMES = ('vit_tiny_patch16_dinov3_qkvb', 'vit_tiny_patch16_224')
TARGETS = ('qkv', 'proj', 'fc1', 'fc2')


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch):
    monkeypatch.setattr(timm, 'create_model', functools.partial(timm.create_model, depth=2))


def build(name, **fields):
    return MODELS.build(dict(type='TimmViT', model_name=name, **fields)).eval()


def pair(name, **lora):
    """A plain encoder, and one with adapters on the same weights."""
    plain, adapted = build(name), build(name, lora=dict(rank=4, targets=TARGETS, **lora))
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.normal_(std=0.2)
    load_strictly(adapted, plain.state_dict(), 'x')
    adapted.start_adapters()
    return plain, adapted


def adapters(encoder):
    return {name: p for name, p in encoder.named_parameters() if '.lora_' in name}


def train(encoder):
    with torch.no_grad():
        for parameter in adapters(encoder).values():
            parameter.normal_(std=0.1)


@pytest.mark.parametrize('name', NAMES)
@torch.no_grad()
def test_it_starts_as_the_frozen_network_and_ends_as_the_merged_one(name):
    plain, adapted = pair(name, alpha=8)
    image = torch.randn(1, 3, 40, 56)
    assert torch.equal(adapted(image)[0], plain(image)[0])
    train(adapted)
    moved = adapted(image)[0]
    assert (moved - plain(image)[0]).abs().max() > 0.01
    load_strictly(plain, merge_adapters(adapted.state_dict(), 'x'), 'x')
    torch.testing.assert_close(plain(image)[0], moved, rtol=0, atol=1e-5)
    # peft merges to the same
    for layer in list(adapted.modules()):
        if isinstance(layer, Linear):
            layer.merge()
    torch.testing.assert_close(plain(image)[0], adapted(image)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_only_adapters_are_trained_and_the_optimiser_has_nothing_else(name):
    _, encoder = pair(name)
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained.keys() == adapters(encoder).keys() and len(trained) == 2 * 4 * 2
    assert not any('patch_embed' in name for name in trained)
    model = nn.ModuleDict(dict(backbone=encoder, decode_head=nn.Linear(2, 2)))
    wrapper = GroupedOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=0.1)), dict(layer_decay=0.5)
    )(model)
    groups = wrapper.optimizer.param_groups
    assert sum(len(group['params']) for group in groups) == len(trained) + 2
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    wrapper.update_params(encoder(torch.randn(1, 3, 32, 32))[0].square().mean())
    changed = {k for k, v in encoder.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == adapters(encoder).keys()
    assert set(wrapper.optimizer.state) == set(trained.values())


def test_recomputed_activations_give_the_same_gradients():
    gradients = []
    plain, adapted = pair(NAMES[0])
    train(adapted)
    image = torch.randn(1, 3, 32, 32)
    for recompute in (False, True):
        adapted.zero_grad()
        adapted.timm_model.set_grad_checkpointing(recompute)
        adapted.train()(image)[0].square().mean().backward()
        gradients.append([p.grad.clone() for p in adapters(adapted).values()])
    assert all(map(torch.equal, *gradients)) and all(g.any() for g in gradients[0])


@torch.no_grad()
def test_soma_takes_the_smallest_singular_directions_out_of_the_weights():
    plain, adapted = pair(NAMES[0], alpha=8, start='soma')
    image = torch.randn(1, 3, 40, 56)
    torch.testing.assert_close(adapted(image)[0], plain(image)[0], rtol=0, atol=1e-5)
    for path in ('blocks.0.attn.qkv', 'blocks.1.mlp.fc2'):
        weight = plain.timm_model.get_submodule(path).weight.double()
        layer = adapted.timm_model.get_submodule(path)
        product = (
            8 / 4 * layer.lora_B.default.weight.double() @ layer.lora_A.default.weight.double()
        )
        values = torch.linalg.svdvals(weight)
        torch.testing.assert_close(
            torch.linalg.svdvals(product)[:4], values[-4:], rtol=1e-4, atol=1e-4
        )
        rest = torch.linalg.svdvals(layer.base_layer.weight.double())
        torch.testing.assert_close(rest[:-4], values[:-4], rtol=1e-4, atol=1e-4)
        assert rest[-4:].max() < 1e-4
        torch.testing.assert_close(
            layer.base_layer.weight.double() + product, weight, rtol=0, atol=1e-5
        )


class Student(nn.Module):
    def __init__(self, encoder) -> None:
        super().__init__()
        self.backbone = encoder
        self.decode_head = nn.Linear(2, 2)


def test_the_teacher_shares_what_is_frozen_and_follows_the_rest():
    _, encoder = pair(NAMES[0])
    student = Student(encoder)
    teacher = EMATeacher(student=student, momentum=0.0)
    mine, theirs = dict(teacher.model.named_parameters()), dict(student.named_parameters())
    for name, parameter in theirs.items():
        assert (mine[name] is parameter) == (not parameter.requires_grad), name
    saved = teacher.state_dict(prefix='teacher.')
    assert not any('base_layer' in name or 'norm' in name for name in saved)
    train(encoder)
    teacher.follow(student)
    assert all(torch.equal(mine[name], theirs[name]) for name in adapters(student))
    again = EMATeacher(student=student, momentum=0.0)
    state = {k.removeprefix('teacher.'): v for k, v in saved.items()}
    again.load_state_dict(state)
    assert all(torch.equal(v, state[k]) for k, v in again.state_dict().items())
    incomplete = dict(list(state.items())[:-1])
    with pytest.raises(RuntimeError, match='Missing key'):
        again.load_state_dict(incomplete)


@pytest.mark.parametrize('start', ['lora', 'soma'])
@torch.no_grad()
def test_a_new_run_starts_its_adapters_on_the_merged_network(start):
    _, trained = pair(NAMES[0])
    train(trained)
    image = torch.randn(1, 3, 40, 56)
    expected = trained(image)[0]
    state = {f'student.{k}': v for k, v in Student(trained).state_dict().items()}
    fresh = Student(build(NAMES[0], lora=dict(rank=2, start=start)))
    model = nn.ModuleDict(dict(student=fresh))
    assert load_start(model, state, 'x') == []
    torch.testing.assert_close(fresh.backbone(image)[0], expected, rtol=0, atol=1e-5)
    assert any(p.any() for n, p in adapters(fresh).items() if 'lora_B' in n) == (start == 'soma')
    plain = nn.ModuleDict(dict(student=Student(build(NAMES[0]))))
    load_start(plain, state, 'x')
    torch.testing.assert_close(plain.student.backbone(image)[0], expected, rtol=0, atol=1e-5)


def test_blocks_before_the_first_one_have_no_adapters():
    encoder = build(NAMES[0], lora=dict(targets=['fc1'], first_block=1))
    assert {name.split('.')[2] for name in adapters(encoder)} == {'1'}


@pytest.mark.parametrize(
    'lora, message',
    [
        (dict(ranks=3), "lora has no field 'ranks'"),
        (dict(rank=0), 'lora.rank must be >= 1, got 0'),
        (dict(alpha=0.5), 'lora.alpha must be a whole number'),
        (dict(targets='qkv'), "lora.targets must be a list, got 'qkv'"),
        (dict(targets=[]), 'targets must be names of layers, got none'),
        (dict(targets=['q']), r"no linear layer \['q'\] in the blocks from 0 on; .*'fc1', 'fc2'"),
        (dict(first_block=2), r"no linear layer \['proj', 'qkv'\] .*there are 2 blocks"),
        (dict(first_block=-1), 'lora.first_block must be >= 0'),
        (dict(start='pissa'), "lora.start must be one of 'lora', 'soma'"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(lora, message):
    with pytest.raises(ConfigError, match=message):
        build(NAMES[1], lora=lora)


def test_without_peft_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ConfigError, match=r"pip install -e '.\[lora\]'"):
        build(NAMES[1], lora={})
