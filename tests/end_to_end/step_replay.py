"""Our training step with the recorded random draws of published code.

The model is built from the configs of the published recipes; nothing of the step is replaced but
its random draws.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS, PARAM_SCHEDULERS
from torch import Tensor

from dsr_nss.conversion import convert_dsrnss
from dsr_nss.engine.config import read_config
from dsr_nss.engine.optim_constructor import GroupedOptimWrapperConstructor
from dsr_nss.matching.weights import convert_uawarpc
from dsr_nss.models.dsr import mixup as mixup_module
from dsr_nss.models.dsr.photometric import Draws
from dsr_nss.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD
from dsr_nss.models.segmentors import dsr_nss as step_module
from dsr_nss.models.segmentors import hrda as hrda_module
from tests.reference.published_step import (
    SIZE,
    WHOLE,
    batch,
    crafted_matcher,
    norms,
    samples,
    thin_image,
    thin_scores,
    weights,
)


@dataclass
class Record:
    """A record of published code; see `tests.reference.published_step`.

    Attributes:
        path: Of the npz.
        keys: JSON with names and shapes of the published network.
        biases: npz for the matcher.
    """

    path: Path
    keys: Path
    biases: Path
    values: dict[str, np.ndarray] = field(init=False)
    meta: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        with np.load(self.path) as file:
            self.values = dict(file)
        self.meta = json.loads(str(self.values['meta']))

    @property
    def authors(self) -> bool:
        """Whether it is of the authors' code; otherwise of Refign."""
        return self.meta['code'].startswith('DSRNSS')

    @property
    def keep(self) -> dict[str, int]:
        """How much it was thinned."""
        return self.meta.get('thinned', WHOLE)


class Replay:
    """The draws of one step, put where the step draws its own."""

    def __init__(self, record: Record, step: int, labels: np.ndarray) -> None:
        draws = record.meta['draws'][step]

        def recorded(kind: str) -> list:
            return [value for name, value in draws if name == kind]

        self.boxes = [tuple(box) for box in recorded('box')]
        if len(self.boxes) == 3:
            del self.boxes[1]  # the authors' pass over the night image has a detail window too
        self.to_reference = any(value < 0.5 for value in recorded('py.random'))
        uniform = recorded('py.uniform')
        self.jittered = bool(uniform) and uniform[0] > 0.2
        self.blurred = len(uniform) > 1 and uniform[1] > 0.5
        self.jitters, self.sigmas = recorded('jitter'), recorded('np.uniform')
        # indices into the sorted ids, 255 included: of the image or of the whole batch
        pools = [np.unique(labels[i] if record.authors else labels) for i in range(len(labels))]
        self.classes = torch.zeros(len(labels), 20, dtype=torch.bool)
        for row, pool, choice in zip(self.classes, pools, recorded('np.choice'), strict=True):
            row[np.minimum(pool[choice], 19).tolist()] = True

    def install(self, model: Any, patch: pytest.MonkeyPatch) -> None:
        """Have the next step of the model take these draws."""
        boxes = iter(self.boxes)
        patch.setattr(hrda_module, 'draw_detail_box', lambda size: next(boxes))
        patch.setattr(mixup_module, 'draw_half', lambda pool, scores: self.classes)
        model.adapt_to_reference = float(self.to_reference)
        if model.augmentation is not None:
            model.augmentation.draw = self._photometric

    def _photometric(self, images: int) -> Draws:
        factors, orders, sigma = torch.ones(images, 4), torch.zeros(images, 4), torch.ones(images)
        names = ('brightness_factor', 'contrast_factor', 'saturation_factor', 'hue_factor')
        for i, jitter in enumerate(self.jitters):
            factors[i] = torch.tensor([jitter[name][0] for name in names])
            orders[i] = torch.tensor(jitter['order'])
        if self.sigmas:
            sigma = torch.tensor(self.sigmas)
        jittered, blurred = bool(self.jitters), bool(self.sigmas)
        assert (jittered, blurred) == (self.jittered, self.blurred)
        return Draws(
            jittered=torch.full((images,), jittered),
            factors=factors,
            orders=orders.long(),
            blurred=torch.full((images,), blurred),
            sigma=sigma,
        )


def build(record: Record, root: Path) -> Any:
    """The model of the record in float64 with its start weights, from the published recipe."""
    meta = record.meta
    overlay = root / f'configs/ablations/{"authors" if record.authors else "refign"}.py'
    config = read_config(root / 'configs/dsr_hrda_darkzurich.py', overlays=[overlay]).model
    config.student = _student(meta['width'])
    config.confidence_threshold = meta['threshold']
    config.refinement.aligner.pop('init_cfg')
    if not meta['aligned']:
        config.refinement.aligner = dict(type='Identity')
    if not meta['augmentation']:
        config.augmentation = None
    if record.authors:
        config.bank.size = (SIZE, SIZE)
        config.alignment.start = 1  # the record begins in their epoch 8
    start = weights(record.keys)
    start['head.conv_seg.weight'] = torch.from_numpy(record.values['start.classifier'])
    model = MODELS.build(config)
    model.student.load_state_dict(convert_dsrnss(start))
    if meta['aligned']:
        matcher = crafted_matcher(start, record.biases)
        model.refinement.aligner.network.load_state_dict(convert_uawarpc(matcher))
    if record.authors:  # the record does not begin with the first step of an epoch
        model.bank.due = lambda step: (step - 1 + meta['offset']) % model.bank.interval == 0
    model.to(torch.float64).train()
    for module in model.modules():  # float32 buffers held these numbers with seven digits only
        if 'mean' in dict(module.named_buffers(recurse=False)):
            for buffer, exact in ((module.mean, IMAGENET_MEAN), (module.std, IMAGENET_STD)):
                buffer.copy_(torch.tensor(exact, dtype=buffer.dtype).view(buffer.shape))
    return model


def _student(width: int) -> dict:
    head = dict(
        type='DAFormerHead', in_channels=[32, 64, 160, 256], num_classes=19, dropout_ratio=0.0,
        channels=width, embed_channels=width,
    )  # fmt: skip
    return dict(
        type='HRDAEncoderDecoder',
        backbone=dict(type='MiT', arch='b0', drop_path_rate=0.0),
        decode_head=dict(type='HRDAHead', head=head, scale_attention=dict(head, fusion='conv1x1')),
    )


def train(record: Record, root: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Train as long as the record, by its draws.

    Returns:
        What the record holds, by the same names; `sN.losses` and `sN.q` as well.
    """
    model = build(record, root)
    wrapper, scheduler = _optimisation(record, root, model)
    published = _PublishedNames(record)
    seen: dict[str, Any] = {}
    _watch(model, wrapper, seen, patch)
    result: dict[str, Any] = {}
    for step in range(record.meta['steps']):
        arrays = batch(record.meta['seed'], step)
        Replay(record, step, arrays['source_label']).install(model, patch)
        items: dict[str, Any] = {name: torch.from_numpy(value) for name, value in arrays.items()}
        items |= {f'{kind}_file': ['', ''] for kind in ('source', 'night', 'reference')}
        items['has_reference'] = torch.tensor([True, True])
        # before the first step the teacher is a copy of the student
        teacher = published(model.teacher.model if step else model.student, 'parameters')
        rates = [group['lr'] for group in wrapper.optimizer.param_groups]
        logged = model.train_step(items, wrapper)
        scheduler.step()
        row = dict(
            losses={k: float(v.detach()) for k, v in logged.items() if k.startswith('loss_')},
            q=float(logged['pseudo_weight']),
            lr=np.array(rates),
            scores=thin_scores(seen['scores'], record.keep['scores']),
            pseudo_label=seen['label'].to(torch.uint8).numpy(),
            mixed_label=seen['mixed'].label.to(torch.uint8).numpy(),
            mixed_image=thin_image(seen['mixed'].image, record.keep['image']),
            weight_is_one=np.packbits((seen['mixed'].weight == 1).numpy()),
            grad=samples(published.rename(seen['gradients']), record.keep['samples']),
            grad_norm=norms(published.rename(seen['gradients'])),
            teacher=samples(teacher, record.keep['samples']),
        )
        result |= {f's{step}.{name}': value for name, value in row.items()}
    for name, network in (('student', model.student), ('teacher', model.teacher.model)):
        values = published(network, 'parameters')
        result[f'end.{name}'] = samples(values, record.keep['samples'])
    buffers = published(model.student, 'buffers')
    result['end.student_running'] = samples(buffers, record.keep['samples'])
    return result


def _optimisation(record: Record, root: Path, model: Any) -> tuple[Any, Any]:
    """Optimiser wrapper and schedule of the published recipe at the length of the record."""
    meta = record.meta
    overlay = root / 'configs/ablations/linear_decay.py'
    config = read_config(root / 'configs/dsr_hrda_darkzurich.py', overlays=[overlay])
    config.optim_wrapper.pop('constructor')
    wrapper = GroupedOptimWrapperConstructor(
        config.optim_wrapper, config.optim_wrapper.pop('paramwise_cfg')
    )(model)
    scheduler = PARAM_SCHEDULERS.build(
        dict(
            config.param_scheduler,
            optimizer=wrapper,
            end=meta['max_steps'],
            warmup=meta['warmup'],
            warmup_ratio=meta['warmup_ratio'],
        )
    )
    return wrapper, scheduler


def _watch(model: Any, wrapper: Any, seen: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
    """Keep what a step computes on the way; nothing of it changes."""
    pseudo_label, mix = step_module.pseudo_label, model._mix

    def watched_label(scores: Tensor) -> Any:
        seen['scores'] = scores.clone()
        label, confidence = pseudo_label(scores)
        seen['label'] = label.clone()
        return label, confidence

    def watched_mix(*args: Any) -> Any:
        seen['mixed'] = mix(*args)
        return seen['mixed']

    patch.setattr(step_module, 'pseudo_label', watched_label)
    model._mix = watched_mix
    wrapper.optimizer.register_step_pre_hook(
        lambda *_: seen.update(
            gradients={
                name: parameter.grad.clone()
                for name, parameter in model.student.named_parameters()
                if parameter.grad is not None
            }
        )
    )


class _PublishedNames:
    """Tensors under our names -> under the published ones.

    The attention's levels are joined in another order, so not names but elements are mapped: their
    indices are sent through the conversion.
    """

    def __init__(self, record: Record) -> None:
        spec = {name: shape for name, (shape, _) in json.loads(record.keys.read_text()).items()}
        parts = ('backbone.', 'head.', 'hrda_scale_attention.')
        self.spec = {name: shape for name, shape in spec.items() if name.startswith(parts)}
        probe = {name: torch.full((1,), float(i)) for i, name in enumerate(self.spec)}
        order = {int(value): own for own, value in convert_dsrnss(probe).items()}
        self.own = {name: order[i] for i, name in enumerate(self.spec) if i in order}
        self.index = convert_dsrnss(
            {
                name: torch.arange(math.prod(shape), dtype=torch.float64).view(shape)
                for name, shape in self.spec.items()
            }
        )

    def __call__(self, network: Any, kind: str) -> dict[str, Tensor]:
        """Parameters, or floating buffers, of a network."""
        tensors = network.named_parameters() if kind == 'parameters' else network.named_buffers()
        return self.rename({n: t.detach().clone() for n, t in tensors if t.is_floating_point()})

    def rename(self, named: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same tensors under the published names, in the published order of elements."""
        result = {}
        for name, own in self.own.items():
            if own in named:
                flat = torch.empty(math.prod(self.spec[name]), dtype=named[own].dtype)
                flat[self.index[own].long().flatten()] = named[own].flatten()
                result[name] = flat.view(self.spec[name])
        return result
