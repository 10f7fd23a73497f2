"""What all training methods share: a student that is an ordinary segmentor, and one step."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.errors import ConfigError
from dsr_nss.models.batch_norm import running_norms
from dsr_nss.models.preprocessor import from_pixels, to_pixels
from dsr_nss.structures import AdaptationBatch
from dsr_nss.values import checked


@checked
class Adaptation(BaseSegmentor):
    """Holds a student; a method says in :meth:`loss` how it is trained.

    The student is a complete segmentor with its own preprocessor, so its part of the state dict
    (`student.*`) is a plain segmentor checkpoint. For testing, the adaptation is its student.

    Args:
        student: Config of the segmentor.
        data_preprocessor: Config of an `AdaptationPreprocessor`, shared with the student.
        pretrained: Unused; mmseg's `init_model` sets it (to None) on every model config.
        train_cfg: Unused; as `pretrained`.

    Raises:
        ConfigError: The encoder computes its passes again (`with_cp`) and has running statistics.
    """

    def __init__(
        self,
        *,
        student: dict,
        data_preprocessor: dict,
        pretrained: None = None,
        train_cfg: None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.student: nn.Module = MODELS.build({**student, 'data_preprocessor': data_preprocessor})
        _check_recomputed(self.student.train().backbone)
        #: Set before a step to have it keep its intermediate pictures in `panel`.
        self.want_panel = False
        self.panel: dict[str, Tensor] | None = None
        #: Set before a step to be shown its losses before the backward pass; what it returns is
        #: logged.
        self.watch_losses: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None

    # --- the training step -------------------------------------------------------------------

    def loss(self, inputs: AdaptationBatch, data_samples: None = None) -> dict[str, Tensor]:
        """Losses of one batch by name, 0-dimensional each; the step minimises their sum."""
        raise TypeError(f'{type(self).__name__} does not define a loss')

    def after_step(self) -> None:
        """Called after the optimiser step."""

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """mmengine's optimiser step, and `after_step`.

        Args:
            data: Collated items of a `SourceTargetDataset`.
            optim_wrapper: mmengine's wrapper: autocast, scaling, clipping, the optimiser.

        Returns:
            Every loss and every logged number by name, 0-dimensional each.
        """
        log_vars = super().train_step(data, optim_wrapper)
        if optim_wrapper.should_update():  # not while gradients are being accumulated
            self.after_step()
        return log_vars

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of what is named a loss, and every number by name, 0-dimensional each.

        Args:
            losses: What :meth:`loss` returned.
        """
        watched = {} if self.watch_losses is None else self.watch_losses(losses)
        total, numbers = super().parse_losses(losses)
        return total, {**numbers, **watched}

    def _run_forward(self, data: Any, mode: str) -> Any:
        if isinstance(data, AdaptationBatch):
            return self(data, mode=mode)
        return super()._run_forward(data, mode)

    def compile_networks(self, **options: Any) -> None:
        """`torch.compile` for encoder and heads, in place: names in the state dict stay.

        What is between them (mixing, the bank, losses) stays plain: it is little work, draws random
        numbers and has branches. Every shape is compiled once.

        Args:
            **options: Options of `torch.compile`.
        """
        for part in self._compilable():
            part.compile(**{'dynamic': False, **options})

    def _compilable(self) -> list[nn.Module]:
        return self.student.compilable()

    def to_pixels(self, image: Tensor) -> Tensor:
        """Normalised `(B, 3, H, W)` -> RGB in [0, 1]."""
        return to_pixels(image, self.data_preprocessor.mean, self.data_preprocessor.std)

    def to_normalised(self, pixels: Tensor) -> Tensor:
        """RGB in [0, 1] `(B, 3, H, W)` -> normalised."""
        return from_pixels(pixels, self.data_preprocessor.mean, self.data_preprocessor.std)

    def _keep_panel(self, **pictures: Tensor) -> None:
        self.panel = {k: v.detach() for k, v in pictures.items()} if self.want_panel else None

    def _dump_init_info(self) -> None:
        """Not a line of the log for every parameter, as mmengine would write."""

    # --- as a segmentor: the student ----------------------------------------------------------

    @property
    def decode_head(self) -> nn.Module:
        """The student's head; mmseg's tools read its number of classes."""
        return self.student.decode_head

    @property
    def align_corners(self) -> bool:
        """How logits are resized."""
        return self.student.align_corners

    def extract_feat(self, inputs: Tensor) -> Any:
        """Encoder maps `(B, D_i, h_i, w_i)` of the student for `(B, 3, H, W)` normalised images."""
        return self.student.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: Any) -> Tensor:
        """Logits `(B, K, H, W)` of the student at input size."""
        return self.student.encode_decode(inputs, batch_data_samples)

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of the student, whole-image or sliding-window as its `test_cfg` says.

        Args:
            inputs: `(B, 3, H, W)`, floating, normalised.
            batch_img_metas: mmseg's meta data of each image.

        Returns:
            `(B, K, H, W)` at the size of the input.
        """
        return self.student.inference(inputs, batch_img_metas)

    def predict(self, inputs: Tensor, data_samples: Any = None) -> Any:
        """Predictions of the student as `SegDataSample`s, for `(B, 3, H, W)` normalised images."""
        with torch.no_grad():
            return self.student.predict(inputs, data_samples)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Any:
        return self.student._forward(inputs, data_samples)


def _check_recomputed(encoder: nn.Module) -> None:
    if getattr(encoder, 'with_cp', False) and any(n.training for n in running_norms(encoder)):
        raise ConfigError(
            f'{type(encoder).__name__}: with_cp computes every pass a second time, in which the '
            'running statistics of its batch norms would take in the images again, night images '
            'too: leave it out, or freeze them by norm_eval=True'
        )
