"""Whole training steps in float64, straight down the paper: figure 2, equations [1] to [15].

The networks are the only thing that is not written again: copies of the encoder, the head and the
scale attention are called with images and give maps, logits and attention. What is fed to them,
what is done with what they return, the losses, the optimiser and the teacher are written here.
Terms that need a gradient are written in torch and compared with the loops beside this file.

Numbers in brackets are equations of arXiv 2310.04747.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from . import class_mix, ema, hrda_fusion, prototypes, pseudo_label, refinement, warp
from .feature_distance import feature_distance
from .memory_bank import MemoryBank
from .softmax import softmax
from .step_losses import agree, alignment_term, cross_entropy, halve, resize

Box = tuple[int, int, int, int]


@dataclass
class Method:
    """Every number and choice of the method; classes are ids.

    `night_statistics`: the student's running statistics take in the night; `batch_statistics`: the
    teacher normalises by the statistics of night and day, else by its running ones.
    """

    mean: Sequence[float]
    std: Sequence[float]
    classes: int
    static: Sequence[int]
    always: Sequence[int]
    long_tail: Sequence[int]
    things: Sequence[int]
    momentum: float
    gamma: float
    threshold: float
    alpha: float
    beta: float
    detail_share: float
    adapt_to_reference: float
    capacity: int
    interval: int
    start: int
    level: int
    tau: float
    reweight: str
    absent: str
    per_image: bool
    mixed_weight: float
    night_gradient: bool
    night_statistics: bool
    batch_statistics: bool
    distance_weight: float
    min_ratio: float
    lr: float
    encoder_share: float
    decay: float
    betas: tuple[float, float]
    eps: float


@dataclass
class Draws:
    """The random numbers of a step.

    Attributes:
        target: Below `adapt_to_reference`, the day reference is the target.
        scores: `(B, C)`, the half of the present classes with the highest ones is pasted.
        boxes: Detail windows of the source and of the mixed image.
    """

    target: float
    scores: np.ndarray
    boxes: tuple[Box, Box]


@dataclass
class Match:
    """What the aligner says of a batch: `(B, 2, H, W)`, `(B, 1, H, W)` and `(B,)`."""

    flow: np.ndarray
    confidence: np.ndarray
    aligned: np.ndarray


@dataclass
class Oracle:
    """Student, teacher, frozen encoder and bank, and how one step changes them.

    Attributes:
        student: `backbone`, `head` and `scale_attention` as training starts with them.
        method: See `Method`.
        augment: What is done to the pixels of the mixed image.
        facts: Of the last step, for a test to see that every part had something to do.
        panel: Pictures of the last step.
    """

    student: nn.ModuleDict
    method: Method
    augment: Callable[[Tensor], Tensor]
    steps: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    panel: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.student.train()
        self.teacher = copy.deepcopy(self.student).train(self.method.batch_statistics)
        self.frozen = copy.deepcopy(self.student['backbone']).eval()
        self.bank = MemoryBank(self.method.long_tail, self.method.capacity, self.method.interval)
        self.moments = {
            name: (torch.zeros_like(p), torch.zeros_like(p))
            for name, p in self.student.named_parameters()
        }

    def step(self, items: dict, draws: Draws, match: Match) -> dict[str, float]:
        """One step on a collated batch; returns what it logs."""
        m, t = self.method, self.steps + 1
        source, night, day = (
            items[f'{name}_image'].double().numpy() / 255
            for name in ('source', 'night', 'reference')
        )
        label = items['source_label'].long().numpy()
        has = items['has_reference'].numpy()
        logged: dict[str, Any] = {}
        self.facts = {}

        # The target: the night, or the day. The night stands in for a day that there is not.
        day = np.stack([day[b] if has[b] else night[b] for b in range(len(night))])
        becomes_target = draws.target < m.adapt_to_reference
        if becomes_target:
            night = day

        # The teacher's label of the target, refined by the day, and the weight q.
        if becomes_target:
            (night_logits,) = self.teach(night)
            scores = softmax(night_logits)
        else:
            night_logits, day_logits = self.teach(night, day)
            day_logits, valid = warp.warp(day_logits, match.flow)
            usable = has & match.aligned
            scores = refinement.refine(
                night_logits, day_logits, match.confidence, valid & usable[:, None, None],
                m.static, m.gamma,
            )  # fmt: skip
            unaligned = sum(h and not a for h, a in zip(has, match.aligned, strict=True))
            logged['unaligned_share'] = unaligned / sum(has)
        night_label, confidence = pseudo_label.pseudo_label(scores)
        q = pseudo_label.confident_share(confidence, m.threshold)
        logged['pseudo_weight'] = q
        ordered = np.sort(scores, axis=1)
        self.facts |= dict(
            q=q,
            refined=(night_label != night_logits.argmax(axis=1)).mean(axis=(1, 2)),
            margin=(ordered[:, -1] - ordered[:, -2]).min(),
            threshold_margin=abs(confidence - m.threshold).min(),
            night_classes=set(np.unique(night_label).tolist()),
        )

        # Source objects over the target [1]-[4], objects of the bank over both [5], augmentation.
        present = class_mix.present_classes(label, m.classes)
        selected = class_mix.draw_half(present, draws.scores)
        for c in m.always:
            selected[:, c] |= present[:, c]
        mask = class_mix.class_mask(label, selected)
        mixed = class_mix.mix(mask, source, night)
        mixed_label = class_mix.mix(mask, label, night_label)
        weight = np.where(mask[:, 0], 1.0, q)
        before, pasted = mixed_label, np.zeros(mask.shape, dtype=bool)
        if t % m.interval == 0:
            for _, stored, _ in self.bank.entries:
                pasted |= stored
        mixed, mixed_label, weight = self.bank.step(
            t, (mixed, mixed_label, weight), (source, label)
        )
        logged['target_weight'] = q * (1 - (mask | pasted).mean())
        self.facts |= dict(
            mask=mask.mean(axis=(1, 2, 3)),
            pasted=(mixed_label != before).mean(axis=(1, 2)),
            stored_only=(np.isin(label, m.long_tail) & ~mask[:, 0]).any(),
        )
        mixed = self.augment(torch.from_numpy(mixed))
        self.panel = dict(
            source_image=self.normalise(torch.from_numpy(source)).numpy(),
            source_label=label,
            night_image=self.normalise(torch.from_numpy(night)).numpy(),
            pseudo_label=night_label,
            mixed_image=self.normalise(mixed).numpy(),
            mixed_label=mixed_label,
            mask=mask | pasted,
        )

        # The losses [6], [14], [13] and their sum [15].
        source = torch.from_numpy(source)
        source_maps, losses_source = self.segment(source, label, None, draws.boxes[0])
        losses = {'loss_source': losses_source}
        mixed_maps, loss_mixed = self.segment(mixed, mixed_label, weight, draws.boxes[1])
        losses['loss_mixed'] = m.alpha * loss_mixed
        if t >= m.start:
            proto, logged['fpa_share'] = self.align(
                (source_maps[m.level], label),
                (mixed_maps[m.level], mixed_label),
                (self.look_at_night(torch.from_numpy(night))[m.level], night_label),
            )
            losses['loss_proto'] = m.beta * proto
        losses['loss_feature_distance'] = m.distance_weight * self.distance(
            source_maps[-1], source, label
        )

        # The student's step, then the teacher's [7].
        loss = sum(losses.values())
        names, parameters = zip(*self.student.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss, parameters)
        self.steps = t
        for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
            self.adamw(name, parameter, gradient)
        self.follow()
        logged |= {name: value.item() for name, value in losses.items()}
        return logged | {'loss': loss.item()}

    # --- networks ------------------------------------------------------------------------------

    def normalise(self, pixels: Tensor) -> Tensor:
        """RGB in 0..1 to what the networks see."""
        m = self.method
        channels = [(255 * pixels[:, c] - m.mean[c]) / m.std[c] for c in range(3)]
        return torch.stack(channels, dim=1)

    def segment(
        self, pixels: Tensor, label: np.ndarray, weight: np.ndarray | None, box: Box
    ) -> tuple[list[Tensor], Tensor]:
        """HRDA in training: maps of the context, and the loss of fused and detail logits."""
        image, batch = self.normalise(pixels), len(pixels)
        top, bottom, left, right = box
        window = np.s_[..., top:bottom, left:right]
        maps = self.student['backbone'](torch.cat([halve(image), image[window]]))
        logits = self.student['head'](maps)
        maps = [one[:batch] for one in maps]
        attention = torch.sigmoid(self.student['scale_attention'](maps))
        # A cell of the context's logits has 8 pixels, one of the detail's and of the fused ones 4.
        trust = torch.zeros_like(attention)
        inside = np.s_[..., top // 8 : bottom // 8, left // 8 : right // 8]
        trust[inside] = attention[inside]
        detail = logits.new_zeros(*attention.shape[:2], *(2 * side for side in logits.shape[2:]))
        detail[..., top // 4 : bottom // 4, left // 4 : right // 4] = logits[batch:]
        size = detail.shape[2:]
        fused = resize(trust, size) * detail + resize((1 - trust) * logits[:batch], size)
        share = self.method.detail_share
        detail_weight = None if weight is None else weight[window]
        return maps, (1 - share) * cross_entropy(fused, label, weight) + share * cross_entropy(
            logits[batch:], label[window], detail_weight
        )

    def look_at_night(self, pixels: Tensor) -> list[Tensor]:
        """Maps of the un-augmented target's context; by choice the norms' averages take it in."""
        context = halve(self.normalise(pixels))
        with torch.set_grad_enabled(self.method.night_gradient):
            if self.method.night_statistics:
                return list(self.student['backbone'](context))
            return list(self.quietly(self.student, 'backbone', context))

    @torch.no_grad()
    def teach(self, *batches: np.ndarray) -> list[np.ndarray]:
        """The teacher's logits of batches of pixels, the detail windows fused with the contexts.

        All pictures go through the networks at once: with statistics of the batch, what they
        normalise by is of all contexts and windows together.
        """
        images = self.normalise(torch.from_numpy(np.concatenate(batches)))
        size = (images.shape[2], images.shape[3])
        pictures = [halve(images)]
        for top, bottom, left, right in hrda_fusion.boxes(*size):
            pictures.append(images[..., top:bottom, left:right])
        maps = self.quietly(self.teacher, 'backbone', torch.cat(pictures))
        contexts = [one[: len(images)] for one in maps]
        attention = torch.sigmoid(self.quietly(self.teacher, 'scale_attention', contexts)).numpy()
        logits = self.quietly(self.teacher, 'head', maps).numpy()
        logits = logits.reshape(len(pictures), len(images), *logits.shape[1:])
        fused = [
            hrda_fusion.fuse(logits[0, i], attention[i], list(logits[1:, i]), size)
            for i in range(len(images))
        ]
        full = resize(torch.from_numpy(np.stack(fused)), size).numpy()
        return np.split(full, len(batches))

    def quietly(self, networks: nn.ModuleDict, name: str, inputs: Any) -> Any:
        """Call a network without effect on its running statistics."""
        statistics = {key: buffer.clone() for key, buffer in networks[name].named_buffers()}
        return functional_call(networks[name], statistics, (inputs,))

    # --- losses --------------------------------------------------------------------------------

    def align(
        self, source: tuple[Tensor, np.ndarray], *others: tuple[Tensor, np.ndarray]
    ) -> tuple[Tensor, float]:
        """`L_proto` of the source with mixed and night, and the mean share that took part."""
        m, batch = self.method, len(source[0])
        parts = [slice(b, b + 1) for b in range(batch)] if m.per_image else [slice(batch)]
        total, shares, overlaps = source[0].new_zeros(()), [], []
        for other, factor in zip(others, (m.mixed_weight, 1.0), strict=True):
            for part in parts:
                a, b = ((maps[part], label[part]) for maps, label in (source, other))
                for one, two in ((a, b), (b, a)):
                    loss, share, overlap = alignment_term(*one, *two, m)
                    total = total + factor * loss / len(parts)
                    shares.append(share)
                    overlaps.append(overlap)
        self.facts |= dict(overlaps=overlaps)
        self.facts |= dict(fpa_shares=shares)
        return total, sum(shares) / len(shares)

    def distance(self, maps: Tensor, pixels: Tensor, label: np.ndarray) -> Tensor:
        """Mean distance to the frozen encoder over the cells that one thing covers."""
        m = self.method
        with torch.no_grad():
            frozen = self.frozen(halve(self.normalise(pixels)))[-1]
        shares = prototypes.label_shares(label, maps.shape[2:], m.classes)
        norms = []
        for b, c, i, j in np.ndindex(*shares.shape):
            if c in m.things and shares[b, c, i, j] >= m.min_ratio:
                difference = maps[b, :, i, j] - frozen[b, :, i, j]
                norms.append((difference @ difference).sqrt())
        value = torch.stack(norms).mean()
        agree(
            value,
            feature_distance(
                maps.detach().numpy(), frozen.numpy(), label, m.things, m.classes, m.min_ratio
            ),
        )
        self.facts |= dict(cells=len(norms), distance=value.item())
        return value

    # --- weights -------------------------------------------------------------------------------

    @torch.no_grad()
    def adamw(self, name: str, parameter: Tensor, gradient: Tensor) -> None:
        """AdamW; the encoder learns slower, norms, biases and position embeddings do not decay."""
        m, t = self.method, self.steps
        lr = m.lr * (m.encoder_share if name.startswith('backbone.') else 1.0)
        if parameter.ndim > 1 and 'pos_embed' not in name:
            parameter -= lr * m.decay * parameter
        first, second = self.moments[name]
        first.copy_(m.betas[0] * first + (1 - m.betas[0]) * gradient)
        second.copy_(m.betas[1] * second + (1 - m.betas[1]) * gradient**2)
        mean, square = first / (1 - m.betas[0] ** t), second / (1 - m.betas[1] ** t)
        parameter -= lr * mean / (square.sqrt() + m.eps)

    @torch.no_grad()
    def follow(self) -> None:
        """The teacher: weights and statistics averaged, counters copied."""
        rate = ema.momentum_at(self.steps, self.method.momentum)
        student = self.student.state_dict()
        for name, old in self.teacher.state_dict().items():
            new = student[name]
            old.copy_(rate * old + (1 - rate) * new if old.is_floating_point() else new)
