"""DSR-NSS: one training step, as in figure 2 of the paper (arXiv 2310.04747).

Numbers in brackets are equations of arXiv 2310.04747.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.errors import ConfigError
from dsr_nss.functional.pseudo_label import confident_share, pseudo_label
from dsr_nss.models.batch_norm import frozen_running_statistics
from dsr_nss.models.dsr import Mixed
from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.structures import AdaptationBatch, StudentOutput
from dsr_nss.values import NotNegative, Share, checked


@MODELS.register_module()
@checked
class DSRNSS(Adaptation):
    """Adapts a student from labelled day to unlabelled night.

    `L = L_sup + alpha L_mix + beta L_proto` [15]. Every part is a registered module that the config
    names; a part that is None is left out, which is how the ablations and base methods are written.

    Args:
        teacher: Config of the `EMATeacher`.
        mixup: Config of the `DSRMixup`.
        augmentation: Config of the photometric augmentation of the mixed image, or None.
        refinement: Config of the `HolisticRefinement` by the day reference, or None.
        bank: Config of the `LongTailMemoryBank`, or None.
        alignment: Config of the `FPALoss`, or None.
        feature_distance: Config of the base methods' `FeatureDistance`, or None.
        masking: Config of the `MaskedConsistency`, or None.
        alpha: Weight of the mixed loss.
        beta: Weight of the prototype loss.
        confidence_threshold: A target pixel is confident from this probability on; the share of
            confident pixels is the weight `q` of all target pixels (DACS).
        adapt_to_reference: Probability that a step takes the day reference itself as the target.
        **kwargs: `student` and `data_preprocessor`, see `Adaptation`.
    """

    #: What to do instead of leaving out a part that the step cannot do without.
    instead_of_none = dict(
        teacher="; model=dict(type='SourceOnly') trains without one",
        mixup='; mixup=dict(always_classes=(), random_half=False) leaves the night image as it is',
    )

    def __init__(
        self,
        *,
        teacher: dict,
        mixup: dict,
        augmentation: dict | None = None,
        refinement: dict | None = None,
        bank: dict | None = None,
        alignment: dict | None = None,
        feature_distance: dict | None = None,
        masking: dict | None = None,
        alpha: NotNegative = 1.0,
        beta: NotNegative = 0.1,
        confidence_threshold: Share = 0.968,
        adapt_to_reference: Share = 0.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.teacher = MODELS.build({**teacher, 'student': self.student})
        self.mixup = MODELS.build(mixup)
        self.augmentation = _build(augmentation)
        self.refinement = _build(refinement)
        self.bank = _build(bank)
        self.alignment = _build(alignment)
        if feature_distance is not None and self.student.with_neck:
            raise ConfigError(
                'feature_distance compares maps of the encoder, and the student has a neck, whose '
                'output would be compared with them; leave one of them out'
            )
        self.feature_distance = _build(feature_distance, encoder=self.student.backbone)
        self.masking = _build(masking, student=self.student, augmentation=self.augmentation)
        self.alpha = alpha
        self.beta = beta
        self.confidence_threshold = confidence_threshold
        self.adapt_to_reference = adapt_to_reference
        self._noted: dict[str, Tensor] = {}
        self._start_copied = False

    # --- the step ------------------------------------------------------------------------------

    def loss(self, inputs: AdaptationBatch, data_samples: None = None) -> dict[str, Tensor]:
        """Losses of one step, weighted as they are summed, and the numbers worth watching.

        All of them are 0-dimensional, by name.
        """
        if inputs.night_image is None:
            raise ConfigError(
                f'{type(self).__name__} adapts to night images: set train_dataloader.dataset.target'
            )
        step = self.teacher.steps + 1
        if step == 1 and not self._start_copied:  # once, also while gradients are accumulated
            self._copy_start()
        batch = self._choose_target(inputs)
        self._noted = {}

        source = self.student.forward_train(batch.source_image)
        losses = {'loss_source': self.student.segmentation_loss(source, batch.source_label)}

        night_label, weight, logged = self.pseudo_label(batch)
        mixed = self._mix(batch, night_label, weight, step)

        output = self.student.forward_train(mixed.image)
        mixed_loss = self.student.segmentation_loss(output, mixed.label, mixed.weight)
        losses['loss_mixed'] = self.alpha * mixed_loss

        if self.alignment is not None and self.alignment.active(step):
            losses['loss_proto'], logged['fpa_share'] = self._align(
                source, output, batch, mixed.label, night_label
            )
        if self.feature_distance is not None:
            losses['loss_feature_distance'] = self.feature_distance(
                source.features[-1],
                self.student.context_image(batch.source_image),
                batch.source_label,
            )
        if self.masking is not None:
            losses['loss_masked'] = self.masking(
                self.student,
                (batch.source_image, batch.source_label),
                (batch.night_image, night_label),
                weight,
                self._augment,
            )
        self._keep_panel(
            **_pictures(batch), mask=mixed.mask, mixed_image=mixed.image,
            mixed_label=mixed.label, pseudo_label=night_label, **self._noted,
        )  # fmt: skip
        # what a mixed pixel of the target weighs on average, `q` times their share
        logged['target_weight'] = weight * (~mixed.mask).float().mean()
        return losses | {'pseudo_weight': weight} | logged

    def _copy_start(self) -> None:
        """The frozen copies take the student's start weights, wherever those were loaded from."""
        if self.masking is not None:
            self.masking.check_start(self.student)
        self.teacher.copy_from(self.student)
        if self.feature_distance is not None:
            self.feature_distance.copy_from(self.student.backbone)
        self._start_copied = True

    def _compilable(self) -> list[nn.Module]:
        frozen = [] if self.feature_distance is None else [self.feature_distance.encoder]
        return [*super()._compilable(), *self.teacher.model.compilable(), *frozen]

    def after_step(self) -> None:
        """The teacher follows the student."""
        self.teacher.follow(self.student)

    def _note(self, name: str, picture: Callable[[], Tensor]) -> None:
        """Keeps a picture of a part of the step for the panel, where one is asked for."""
        if self.want_panel:
            self._noted[name] = picture()

    # --- its parts -----------------------------------------------------------------------------

    def _choose_target(self, batch: AdaptationBatch) -> AdaptationBatch:
        """With probability `adapt_to_reference`, the day reference becomes the target."""
        if torch.rand(()).item() >= self.adapt_to_reference or batch.reference_image is None:
            return batch
        # where a sample has no reference, the night image stands in for it
        return replace(
            batch, night_image=batch.reference_image, reference_image=None, has_reference=None
        )

    @torch.no_grad()
    def pseudo_label(self, batch: AdaptationBatch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The teacher's label of the night image, refined by the day.

        Args:
            batch: Of the source nothing is read.

        Returns:
            Label `(B, H, W)` int64, its weight `q`, 0-dimensional, and numbers worth logging.
        """
        logged = {}
        if self.refinement is None or batch.reference_image is None:
            scores = self.teacher(batch.night_image).softmax(dim=1)
        else:
            night, day = self.teacher.pair(batch.night_image, batch.reference_image)
            self._note('teacher_label', lambda: night.argmax(dim=1))
            scores, logged['unaligned_share'] = self.refinement(
                night,
                day,
                self.to_pixels(batch.night_image),
                self.to_pixels(batch.reference_image),
                batch.has_reference,
            )
        label, confidence = pseudo_label(scores)
        self._note('confidence', lambda: confidence[:, None])
        return label, confident_share(confidence, self.confidence_threshold), logged

    @torch.no_grad()
    def _mix(self, batch: AdaptationBatch, night_label: Tensor, weight: Tensor, step: int) -> Mixed:
        """Source objects, now and then bank objects, into the night image; then augmentation."""
        mixed = self.mixup(
            batch.source_image, batch.source_label, batch.night_image, night_label, weight
        )
        if self.bank is not None and not self.bank.after_augmentation:
            mixed = self._use_bank(mixed, batch, step)
        if self.augmentation is not None:
            mixed.image = self._augment(mixed.image)
        if self.bank is not None and self.bank.after_augmentation:
            mixed = self._use_bank(mixed, batch, step)
        return mixed

    def _augment(self, image: Tensor) -> Tensor:
        return self.augmentation(image, self.to_pixels, self.to_normalised)

    def _use_bank(self, mixed: Mixed, batch: AdaptationBatch, step: int) -> Mixed:
        pixels = self.to_pixels(batch.source_image)
        pasted = self.bank(mixed, pixels, batch.source_label, step, self.to_normalised)
        self._note('bank_mask', lambda: (pasted.image != mixed.image).any(dim=1, keepdim=True))
        return pasted

    def _align(
        self,
        source: StudentOutput,
        mixed: StudentOutput,
        batch: AdaptationBatch,
        mixed_label: Tensor,
        night_label: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """`beta L_proto`: source <-> mixed and source <-> night."""
        frozen = self.alignment.night_statistics == 'frozen'
        with (
            torch.set_grad_enabled(self.alignment.night_gradient),
            frozen_running_statistics(self.student) if frozen else nullcontext(),
        ):
            night_features = self.student.context_features(batch.night_image)
        loss, share = self.alignment(
            (source.features, batch.source_label),
            (mixed.features, mixed_label),
            (night_features, night_label),
        )
        return self.beta * loss, share


def _build(config: dict | None, **kwargs) -> Any:
    return None if config is None else MODELS.build({**config, **kwargs})


def _pictures(batch: AdaptationBatch) -> dict[str, Tensor]:
    return {
        name: getattr(batch, name)
        for name in ('source_image', 'source_label', 'night_image', 'reference_image')
        if getattr(batch, name) is not None
    }
