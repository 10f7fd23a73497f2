"""Training of a matching network by warp consistency: one step."""

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.errors import CheckpointError
from dsr_nss.functional.warp import match_confidence, warp
from dsr_nss.matching.head import FlowEstimate, ViewFeatures
from dsr_nss.matching.losses import (
    at_level,
    balance,
    bipath_loss,
    mean_over,
    warp_supervision_loss,
)
from dsr_nss.matching.network import MatchingNetwork
from dsr_nss.matching.pairs import ImagePairs
from dsr_nss.models.initialise import loads_unasked
from dsr_nss.values import Bounds, Count, NotNegative, Share, checked

Size = tuple[int, int]


@MODELS.register_module()
@checked
class WarpConsistency(BaseModel):
    """Trains a `MatchingNetwork` on unlabelled image pairs, or on single images.

    Of each target `I` a synthetic view `I'` is made, by a random warp and a change of appearance.
    Two losses ask for that warp: of the flow `I' -> I`, and of the way over the reference `J`,
    `I' -> J -> I`. A sample without a reference has the first one alone. The images are warped
    whole and cropped to their middle, so that hardly any of what the warp brings in from outside
    of the image is seen; what is left of it is masked.

    The three directions go through the head as one batch, whose statistics its batch norms take
    (published: one after the other).

    Sources: Truong et al., "Warp Consistency", ICCV 2021; Bruggemann et al., "Refign", WACV 2023.
    The defaults are the first stage of Refign's published training; its second stage has
    `visibility_mask=True`, stronger warps, and starts from the first one (`init_cfg`).

    Args:
        crop_size: (height, width) of the middle of the images that the network sees.
        pyramid: Config of the features, as of the `UAWarpC` aligner; by default VGG-16.
        warps: Config of the sampler of warps.
        appearance: Config of the change of appearance of the synthetic view, or None.
        visibility_mask: Leave out of the bipath term what does not come back.
        level_weights: Weights of the four levels in the loss, coarse to fine.
        bipath_weight: Weight of the bipath term.
        bipath_start: First batch (counted from 1; with accumulation a step has several) with this
            term. Its two directions take more than two thirds of the time; before, references
            still take the place of targets. Published trainings have it from the start.
        warp_supervision_weight: Weight of the warp-supervision term.
        balance_terms: Scale the smaller term up to the larger one in every step.
        exchange_probability: Probability that target and reference change places, so that both
            kinds of image are warped.
        train_pyramid: Train the features too. Published trainings keep them frozen at their
            ImageNet weights; random ones must be trained.
        init_cfg: None, or `dict(type='Pretrained', checkpoint=PATH)`: where the whole network
            starts, a checkpoint of a training such as this or another layout of
            `dsr_nss.matching.weights`.
        data_preprocessor: Config of an `ImagePairPreprocessor`.
    """

    def __init__(
        self,
        *,
        crop_size: tuple[Count, Count],
        pyramid: dict | None = None,
        warps: dict | None = None,
        appearance: dict | None = None,
        visibility_mask: bool = False,
        level_weights: Sequence[NotNegative] = (1.0, 1.0, 1.0, 1.0),
        bipath_weight: NotNegative = 1.0,
        bipath_start: Annotated[int, Bounds(0)] = 1,
        warp_supervision_weight: NotNegative = 1.0,
        balance_terms: bool = True,
        exchange_probability: Share = 0.5,
        train_pyramid: bool = False,
        init_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or dict(type='ImagePairPreprocessor'))
        if len(level_weights) != 4:
            raise ValueError(f'level_weights needs one weight a level (4), got {level_weights}')
        self.network = MatchingNetwork(pyramid=pyramid, init_cfg=init_cfg)
        encoder = (pyramid or {}).get('backbone', pyramid or {})
        unasked = loads_unasked(encoder.get('type')) and 'pretrained' not in encoder
        self._random = not (encoder.get('init_cfg') or encoder.get('pretrained') or unasked)
        # a step takes 5.0 instead of 7.2 s of a CPU core so (176x352, two pairs)
        self.network.to(memory_format=torch.channels_last)
        self.warps = MODELS.build(warps or dict(type='SyntheticWarps'))
        self.appearance = None if appearance is None else MODELS.build(appearance)
        self.crop_size = (int(crop_size[0]), int(crop_size[1]))
        self.visibility_mask = visibility_mask
        self.level_weights = tuple(level_weights)
        self.bipath_weight = bipath_weight
        self.bipath_start = bipath_start
        self.warp_supervision_weight = warp_supervision_weight
        self.balance_terms = balance_terms
        self.exchange_probability = exchange_probability
        self.train_pyramid = train_pyramid
        self.network.pyramid.requires_grad_(train_pyramid)
        self.register_buffer('step', torch.zeros((), dtype=torch.int64))
        # mirror of the buffer, so that asking for it never waits for the device
        self._steps = 0
        #: Set before a step to have it keep its intermediate pictures in `panel`.
        self.want_panel = False
        self.panel: dict[str, Tensor] | None = None

    def init_weights(self) -> None:
        """The pyramid's weights and a random head, or the file of `init_cfg`.

        Raises:
            FileNotFoundError: A file that is named is not there.
            CheckpointError: It does not fit, or random features would stay as they are.
        """
        if self._random and self.network.init_cfg is None and not self.train_pyramid:
            raise CheckpointError(
                'the features would stay at random weights: set model.pyramid.init_cfg='
                "dict(type='Pretrained', checkpoint='data/pretrained/vgg16-397923af.pth'), that of "
                'model.pyramid.backbone, or model.train_pyramid=True'
            )
        self.network.init_weights()
        self._is_init = True

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._steps = int(self.step)

    def train(self, mode: bool = True) -> 'WarpConsistency':
        """Frozen features keep their statistics."""
        super().train(mode)
        if not self.train_pyramid:
            self.network.pyramid.eval()
        return self

    def forward(
        self, target: Tensor, reference: Tensor, paired: Tensor, mode: str = 'loss'
    ) -> dict[str, Tensor]:
        """Losses and logged numbers of a batch.

        Args:
            target: `(B, 3, H, W)` float32 RGB in [0, 1].
            reference: `(P, 3, H, W)` float32 RGB in [0, 1]: of the samples that have one.
            paired: `(P,)` int64: which samples of `target` these are.
            mode: `'loss'`.

        Returns:
            0-dimensional tensors by name; see `loss`.

        Raises:
            ValueError: Another mode than 'loss': matching is the work of `network`.
        """
        if mode != 'loss':
            raise ValueError(f"WarpConsistency only trains (mode 'loss'), got mode {mode!r}")
        return self.loss(ImagePairs(target, reference, paired))

    def loss(self, batch: ImagePairs) -> dict[str, Tensor]:
        """`loss_warp_supervision`, with references `loss_bipath`, and what the log shows.

        All of them are 0-dimensional. `ImagePairs` has the shapes of the batch.

        Logged: `warp_epe`, the mean end-point error of `I' -> I` in pixels; `zero_epe`, that of a
        flow of zero; `warp_confidence`, the mean confidence of that flow; with references
        `pair_confidence`, that of `I' -> J`, and `visible_share`, how much of `I'` the bipath term
        looks at (both at 1/4).
        """
        self._steps += 1
        self.step.add_(1)
        batch = self._exchange(batch)
        size = _size(batch.target)
        flow = self.warps(len(batch.target), size, batch.target.device)
        synthetic, flow, valid = self._synthetic_view(batch.target, flow)
        used = len(batch.paired) if self._steps >= self.bipath_start else 0
        paired, reference = batch.paired[:used], batch.reference[:used]
        views = (synthetic, self._crop(batch.target), self._crop(reference))
        to_target, to_reference, back = self._match(*views, paired)

        supervision = warp_supervision_loss(to_target, flow, valid, self.level_weights)
        losses = {'loss_warp_supervision': self.warp_supervision_weight * supervision}
        numbers = self._numbers(to_target[-1], flow, valid)
        if to_reference:
            paired_flow, paired_valid = flow[paired], valid[paired]
            bipath = bipath_loss(
                to_reference,
                back,
                paired_flow,
                paired_valid,
                level_weights=self.level_weights,
                only_visible=self.visibility_mask,
            )
            losses['loss_bipath'] = self.bipath_weight * bipath.loss
            numbers['visible_share'] = bipath.share
            numbers['pair_confidence'] = _confidence(to_reference[-1], paired_valid)
            if self.balance_terms:
                names = ('loss_bipath', 'loss_warp_supervision')
                factors = balance(*(losses[name] for name in names))
                for name, factor in zip(names, factors, strict=True):
                    losses[name] = losses[name] * factor
        self._keep_panel(views, paired, to_reference or to_target)
        return {**losses, **numbers}

    def _exchange(self, batch: ImagePairs) -> ImagePairs:
        """Target and reference change places in some samples."""
        if not len(batch.paired):
            return batch
        drawn = torch.rand(len(batch.paired)) < self.exchange_probability
        drawn = drawn.to(batch.target.device, non_blocking=True).view(-1, 1, 1, 1)
        target, reference = batch.target[batch.paired], batch.reference
        exchanged = batch.target.index_copy(0, batch.paired, torch.where(drawn, reference, target))
        return ImagePairs(exchanged, torch.where(drawn, target, reference), batch.paired)

    def _synthetic_view(self, target: Tensor, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The cropped `I'`, its flow to `I`, and where it shows something."""
        changed = target if self.appearance is None else self.appearance(target)
        synthetic, valid = warp(changed, flow)
        return self._crop(synthetic), self._crop(flow), self._crop(valid)

    def _crop(self, picture: Tensor) -> Tensor:
        """The middle; one crop for both ends of a flow leaves the flow as it is.

        Raises:
            ValueError: The images are smaller.
        """
        height, width = self.crop_size
        full = picture.shape[-2:]
        top, left = (full[0] - height) // 2, (full[1] - width) // 2
        if top < 0 or left < 0:
            raise ValueError(
                f'model.crop_size {height}x{width} is larger than the images, '
                f'{full[0]}x{full[1]}: set the size of the dataset, about 1.44 times the crop'
            )
        return picture[..., top : top + height, left : left + width]

    def _match(
        self, synthetic: Tensor, target: Tensor, reference: Tensor, paired: Tensor
    ) -> tuple[list[FlowEstimate], ...]:
        """Estimates `I' -> I`; and of pairs `I' -> J` and `J -> I`, else empty lists."""
        views = [synthetic, target, reference] if len(paired) else [synthetic, target]
        with torch.set_grad_enabled(self.train_pyramid and torch.is_grad_enabled()):
            features = [self.network.extract(view) for view in views]
        warped, plain = features[:2]
        if not len(paired):
            return self.network.head(warped, plain, self.crop_size), [], []
        other = features[2]
        estimates = self.network.head(
            _cat(warped, _select(warped, paired), other),
            _cat(plain, other, _select(plain, paired)),
            self.crop_size,
        )
        lengths = (len(synthetic), len(paired), len(paired))
        parts = [zip(*(x.split(lengths) for x in level), strict=True) for level in estimates]
        directions = zip(*parts, strict=True)
        return tuple([FlowEstimate(*level) for level in direction] for direction in directions)

    @torch.no_grad()
    def _numbers(self, finest: FlowEstimate, flow: Tensor, valid: Tensor) -> dict[str, Tensor]:
        level_flow, level_valid = at_level(flow, valid, finest.flow.shape[2:])
        error = (finest.flow - level_flow).norm(dim=1)
        return {
            'warp_epe': mean_over(error, level_valid),
            'zero_epe': mean_over(level_flow.norm(dim=1), level_valid),
            'warp_confidence': _confidence(finest, valid),
        }

    @torch.no_grad()
    def _keep_panel(
        self,
        views: tuple[Tensor, Tensor, Tensor],
        paired: Tensor,
        estimates: list[FlowEstimate],
    ) -> None:
        """Of the pairs; without any, of the target and its own synthetic view."""
        self.panel = None
        if not self.want_panel:
            return
        synthetic, target, reference = views
        if len(paired):
            synthetic, target = synthetic[paired], target[paired]
        else:
            reference = target
        flow, log_variance = (
            F.interpolate(x, self.crop_size, mode='bilinear', align_corners=False)
            for x in estimates[-1]
        )
        self.panel = dict(
            target_image=target,
            matched_image=reference,
            synthetic_image=synthetic,
            warped_image=warp(reference, flow)[0],
            confidence=match_confidence(log_variance),
        )


def _size(image: Tensor) -> Size:
    return image.shape[2], image.shape[3]


def _select(features: ViewFeatures, samples: Tensor) -> ViewFeatures:
    return ViewFeatures(*(level[samples] for level in features))


def _cat(*views: ViewFeatures) -> ViewFeatures:
    return ViewFeatures(*(torch.cat(levels) for levels in zip(*views, strict=True)))


@torch.no_grad()
def _confidence(estimate: FlowEstimate, valid: Tensor) -> Tensor:
    """Mean over the valid pixels."""
    confidence = match_confidence(estimate.log_variance)[:, 0]
    _, level_valid = at_level(estimate.flow, valid, confidence.shape[1:])
    return mean_over(confidence, level_valid)
