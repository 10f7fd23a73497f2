"""Training on the labelled source alone: the start of every comparison."""

from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.structures import AdaptationBatch
from dsr_nss.values import checked


@MODELS.register_module()
@checked
class SourceOnly(Adaptation):
    """Cross-entropy on the source, with the same data, sampling and schedule as the adaptation.

    Args:
        augmentation: Config of the photometric augmentation of the source image, or None. With the
            mixed image's jitter and blur this is the baseline that tells augmentation from
            adaptation.
        **kwargs: Arguments of `Adaptation`.
    """

    def __init__(self, *, augmentation: dict | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.augmentation = None if augmentation is None else MODELS.build(augmentation)

    def loss(self, inputs: AdaptationBatch, data_samples: None = None) -> dict[str, Tensor]:
        """`loss_source`, the cross-entropy on the source batch, 0-dimensional."""
        image = inputs.source_image
        if self.augmentation is not None:
            image = self.augmentation(image, self.to_pixels, self.to_normalised)
        output = self.student.forward_train(image)
        loss = self.student.segmentation_loss(output, inputs.source_label)
        self._keep_panel(source_image=image, source_label=inputs.source_label)
        return {'loss_source': loss}
