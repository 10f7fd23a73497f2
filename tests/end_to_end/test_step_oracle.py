"""The real training step against a step that is written again from the paper, in float64.

`tests/reference/step.py` is that second step. Both start from the same weights and get the same
batches, random numbers and matches; afterwards all logged numbers, all weights of student and
teacher and the bank must be the same. The inputs are made so that every part has something to do,
which the test asserts too, or a step that leaves a part out would pass.
"""

import copy

import numpy as np
import pytest
import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.engine.optim_constructor import GroupedOptimWrapperConstructor
from dsr_nss.models.refine.aligners import Alignment
from tests.reference.memory_bank import MemoryBank
from tests.reference.step import Draws, Match, Method, Oracle
from tests.reference.step_inputs import (
    ALIGNED,
    ALWAYS,
    DRAWS,
    HAS_REFERENCE,
    LONG_TAIL,
    NAMES,
    SIZE,
    STATIC,
    THINGS,
    ids,
    make_draws,
    make_items,
    make_match,
)

# the tensors are so small that threads only wait for one another
pytestmark = pytest.mark.usefixtures('one_thread')

# Exact in float32 as well, which the preprocessor is built with.
MEAN, STD = (120.5, 110.25, 100.75), (60.5, 57.25, 56.125)

#: The paper's choices, and other ones, most of which are those of the authors' code.
CHOICES = {
    'paper': dict(),
    'others': dict(
        reweight='literal',
        absent='zero',
        per_image=True,
        mixed_weight=0.25,
        night_gradient=False,
        night_statistics=True,
        batch_statistics=True,
    ),
}


# --- the parts that are not under test --------------------------------------------------------


@MODELS.register_module()
class OracleEncoder(BaseModule):
    """Four maps at strides 4, 8, 16 and 16 by four convolutions.

    The MiT has no batch norm, its stochastic depth draws random numbers of its own, and it takes
    images of four times this size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 6, 1, 1))  # by its name not decayed
        widths = (3, 6, 8, 10, 12)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(widths[i], widths[i + 1], kernel, stride, padding=kernel // 2),
                nn.BatchNorm2d(widths[i + 1]),
                nn.SiLU(),
            )
            for i, (kernel, stride) in enumerate([(7, 4), (3, 2), (3, 2), (3, 1)])
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = [self.stages[0](image) + self.pos_embed]
        for stage in self.stages[1:]:
            maps.append(stage(maps[-1]))
        return tuple(maps)


@MODELS.register_module()
class OracleAligner(BaseModule):
    """Says what it was told to say, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Match | None = None
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, night: Tensor, day: Tensor) -> Alignment:
        self.asked.append((night.clone(), day.clone()))
        assert self.answer is not None
        return Alignment(
            flow=torch.from_numpy(self.answer.flow).float(),
            confidence=torch.from_numpy(self.answer.confidence).float(),
            aligned=torch.from_numpy(self.answer.aligned),
        )


@MODELS.register_module()
class OracleAugmentation(BaseModule):
    """The same change in every step, another one for each image."""

    def forward(self, image: Tensor, to_pixels, to_normalised) -> Tensor:
        return to_normalised(augment(to_pixels(image)))


def augment(pixels: Tensor) -> Tensor:
    factor = torch.tensor([0.9, 0.75, 0.6], dtype=pixels.dtype).view(-1, 1, 1, 1)
    return factor * pixels.flip(dims=[1]) + 0.05


# --- the model ----------------------------------------------------------------------------------


def head_config(**fields) -> dict:
    return dict(
        type='DAFormerHead', in_channels=[6, 8, 10, 12], channels=8, embed_channels=8,
        num_classes=len(NAMES), dropout_ratio=0.0, dilations=(1, 2), **fields,
    )  # fmt: skip


def model_config(m: Method) -> dict:
    return dict(
        type='DSRNSS',
        student=dict(
            type='HRDAEncoderDecoder',
            backbone=dict(type='OracleEncoder'),
            decode_head=dict(
                type='HRDAHead', head=head_config(), scale_attention=head_config(fusion='conv1x1'),
                detail_loss_weight=m.detail_share, detail_stride=0.5,
            ),
        ),
        data_preprocessor=dict(type='AdaptationPreprocessor', mean=MEAN, std=STD),
        teacher=dict(
            type='EMATeacher', momentum=m.momentum,
            teacher_bn='batch' if m.batch_statistics else 'running',
        ),
        refinement=dict(
            type='HolisticRefinement', aligner=dict(type='OracleAligner'), class_names=NAMES,
            static_classes=STATIC, gamma=m.gamma,
        ),
        mixup=dict(type='DSRMixup', class_names=NAMES, always_classes=ALWAYS),
        bank=dict(
            type='LongTailMemoryBank', class_names=NAMES, long_tail_classes=LONG_TAIL, size=SIZE,
            capacity=m.capacity, interval=m.interval,
        ),
        augmentation=dict(type='OracleAugmentation'),
        alignment=dict(
            type='FPALoss', class_names=NAMES, long_tail_classes=LONG_TAIL, start=m.start,
            feature_level=m.level, tau=m.tau, reweight=m.reweight, absent=m.absent,
            prototype_scope='image' if m.per_image else 'batch', mixed_weight=m.mixed_weight,
            night_gradient=m.night_gradient,
            night_statistics='updated' if m.night_statistics else 'frozen',
        ),
        feature_distance=dict(
            type='FeatureDistance', class_names=NAMES, classes=THINGS, weight=m.distance_weight,
            min_ratio=m.min_ratio,
        ),
        alpha=m.alpha, beta=m.beta, confidence_threshold=m.threshold,
        adapt_to_reference=m.adapt_to_reference,
    )  # fmt: skip


def method(**choices) -> Method:
    fields = dict(
        mean=MEAN, std=STD, classes=len(NAMES), static=ids(STATIC), always=ids(ALWAYS),
        long_tail=ids(LONG_TAIL), things=ids(THINGS), momentum=0.6, gamma=0.5, threshold=0.7,
        alpha=0.7, beta=0.45, detail_share=0.3, adapt_to_reference=0.4, capacity=2, interval=2,
        start=2, level=1, tau=0.4, reweight='ratio', absent='drop', per_image=False,
        mixed_weight=1.0, night_gradient=True, night_statistics=False, batch_statistics=False,
        distance_weight=0.2, min_ratio=0.625, lr=2e-2, encoder_share=0.3, decay=0.1,
        # with a large eps the size of a step follows the size of the gradient, and so the factors
        # of the losses, and noise near zero is not blown up
        betas=(0.8, 0.9), eps=1e-2,
    )  # fmt: skip
    return Method(**{**fields, **choices})


def start_weights(student: nn.Module) -> None:
    """Other weights than those the parts were built with, as after loading; decided predictions."""
    generator = torch.Generator().manual_seed(36)

    def noise(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)

    with torch.no_grad():
        for name, parameter in student.named_parameters():
            parameter += 0.1 * noise(parameter)
            if name == 'decode_head.head.conv_seg.weight':
                parameter.copy_(3 * noise(parameter))
        for module in student.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += 0.2 * noise(module.running_mean)
                module.running_var += 0.2 * noise(module.running_var).abs()
        # no class is preferred on the whole, so that many of them win somewhere
        night = (make_items(1)['night_image'] - torch.tensor(MEAN).view(3, 1, 1)).double() / 58
        logits = student.eval().encode_decode(night)
        student.decode_head.head.conv_seg.bias -= logits.mean(dim=(0, 2, 3))
        # but the car nowhere: a class of the source that no other domain has
        student.decode_head.head.conv_seg.bias[NAMES.index('car')] -= 50


# --- the test -----------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """Replaces torch's random numbers by those of a step, told apart by their shapes."""

    def use(step: int, draws: Draws) -> None:
        offsets = list(DRAWS[step - 1].offsets)

        def rand(*size, **_):
            shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
            values = {(): np.array(draws.target), draws.scores.shape: draws.scores}
            return torch.from_numpy(values[shape])

        def randint(high, size):
            assert size == () and offsets[0] < high
            return torch.tensor(offsets.pop(0))

        monkeypatch.setattr(torch, 'rand', rand)
        monkeypatch.setattr(torch, 'randint', randint)

    yield use
    monkeypatch.undo()


@pytest.mark.parametrize('choices, steps', [('paper', 3), ('others', 2)])
def test_steps_are_those_of_the_paper(choices, steps, drawn):
    m = method(**CHOICES[choices])
    torch.manual_seed(0)
    model = MODELS.build(model_config(m)).double()
    model.init_weights()
    start_weights(model.student)
    model.train()
    optimiser = dict(type='AdamW', lr=m.lr, weight_decay=m.decay, betas=m.betas, eps=m.eps)
    wrapper = GroupedOptimWrapperConstructor(
        dict(optimizer=optimiser), dict(backbone_lr_mult=m.encoder_share)
    )(model)
    trained = [p for group in wrapper.optimizer.param_groups for p in group['params']]
    assert {id(p) for p in trained} == {id(p) for p in model.student.parameters()}
    oracle = Oracle(networks(model.student), m, augment)
    model.want_panel = True

    facts = []
    for step in range(1, steps + 1):
        items, draws, match = make_items(step), make_draws(step), make_match(step)
        model.refinement.aligner.answer = match
        drawn(step, draws)
        log = model.train_step(copy.deepcopy(items), wrapper)
        expected = oracle.step(items, draws, match)
        facts.append(oracle.facts)

        numbers = {name: value.item() for name, value in log.items()}
        assert numbers == pytest.approx(expected, rel=1e-6)
        for name, picture in oracle.panel.items():
            np.testing.assert_allclose(model.panel[name].numpy(), picture, atol=1e-9, err_msg=name)
        assert_same_weights(networks(model.student), oracle.student)
        assert_same_weights(networks(model.teacher.model), oracle.teacher)
        assert_same_weights(model.feature_distance.encoder, oracle.frozen)
        assert model.teacher.steps == int(model.teacher.step) == step
        assert_asked(model.refinement.aligner, items, step)
    assert_same_bank(model.bank, oracle.bank)
    assert_every_part_had_something_to_do(facts, m)


def networks(segmentor: nn.Module) -> nn.ModuleDict:
    """Copies of the three networks of an HRDA segmentor, which hold all of its weights."""
    head = segmentor.decode_head
    parts = dict(backbone=segmentor.backbone, head=head.head, scale_attention=head.scale_attention)
    copies = nn.ModuleDict({name: copy.deepcopy(part) for name, part in parts.items()})
    assert len(copies.state_dict()) == len(segmentor.state_dict())
    return copies


def assert_same_weights(ours: nn.Module, theirs: nn.Module) -> None:
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(
            value, expected[name], rtol=0, atol=1e-8, msg=lambda text, name=name: f'{name}: {text}'
        )


def assert_asked(aligner: OracleAligner, items: dict, step: int) -> None:
    """Un-augmented pixels, night first, which also stands in for a day that there is not.

    In the third step the day is the target itself.
    """
    asked, aligner.asked = aligner.asked, []
    assert not aligner.training
    if step == 3:
        assert asked == []
        return
    ((night, day),) = asked
    torch.testing.assert_close(night, items['night_image'].double() / 255)
    has = items['has_reference'].view(-1, 1, 1, 1)
    expected = torch.where(has, items['reference_image'], items['night_image'])
    torch.testing.assert_close(day, expected.double() / 255)


def assert_same_bank(bank: nn.Module, reference: MemoryBank) -> None:
    """All that is stored, pasted on black."""
    image, label, mask = bank.composite()
    black, unlabelled = np.zeros((1, 3, *SIZE)), np.full((1, *SIZE), 255)
    expected = reference.paste(black, unlabelled, np.zeros((1, *SIZE)))
    assert (mask.numpy() == (expected[2][0] == 1)).all() and mask.any()
    assert (torch.where(mask, label, 255).numpy() == expected[1][0]).all()
    assert ((image * mask).numpy() == np.round(255 * expected[0][0])).all()


def assert_every_part_had_something_to_do(facts: list[dict], m: Method) -> None:
    for step, of in enumerate(facts, start=1):
        assert 0.1 < of['q'] < 0.9
        # no label and no confident pixel is decided by rounding
        assert min(of['margin'], of['threshold_margin']) > 1e-7
        assert ((of['mask'] > 0.1) & (of['mask'] < 0.95)).all()
        assert of['stored_only']  # the bank gets objects that were not pasted
        assert len(of['night_classes']) > 6
        # a person over a whole cell and a car over exactly the smallest share
        assert of['cells'] == 2 and of['distance'] > 0.1
        # changed labels where a sample has a reference that was aligned, and nowhere else
        refined = np.logical_and(HAS_REFERENCE[step], ALIGNED[step]) & (step != 3)
        assert ((of['refined'] > 0.02) == refined).all()
        assert ((of['pasted'] > 0.1) == (step % m.interval == 0)).all()
        assert ('overlaps' in of) == (step >= m.start)
    # the car's cells take no part; where it is dropped, the term is divided by the rest
    assert (min(facts[1]['fpa_shares']) < 0.9) == (m.absent == 'drop')
    # with the mixed image and with the night
    assert facts[1]['overlaps'][0] and any(facts[1]['overlaps'][-2:])
