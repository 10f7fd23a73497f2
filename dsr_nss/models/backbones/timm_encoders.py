"""Foundation encoders around timm: vision transformers of one scale, and ConvNeXt pyramids."""

from collections.abc import Sequence
from typing import Annotated, Any

import timm
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from dsr_nss.checkpoints.adapters import ALPHA, onto_adapters
from dsr_nss.checkpoints.reading import start_file
from dsr_nss.checkpoints.timm_files import load_timm
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.functional.position_embedding import covering, hub_positions
from dsr_nss.models.backbones.adapters import (
    LoRA,
    LoRAFields,
    add_adapters,
    start_from_minor_directions,
)
from dsr_nss.values import OneOf, Positive, checked

POSITIONS = ('timm', 'hub')
Hub = Annotated[str, OneOf(('hub',))]


class TimmEncoder(BaseModule):
    """What the two encoders below share: a network of timm and its start weights.

    Args:
        model_name: timm's name of the network; its tag of weights may be left out.
        kinds: timm's classes that the encoder can use.
        pretrained: None, or `'hub'`: fetch timm's weights from the Hugging Face Hub when weights
            are initialised.
        with_cp: Recompute activations in the backward pass, which saves their memory.
        init_cfg: None for random weights, or `dict(type='Pretrained', checkpoint=PATH)` for a local
            file in one of the layouts of `dsr_nss.checkpoints.timm_files`; where it holds several
            encoders, as a run of this package does, `prefix='student.backbone.'` names one.
        lora: None, or fields of `adapters.LoRA`: low-rank adapters are trained, the rest is frozen.
        **options: Passed on to `timm.create_model`.

    Raises:
        ConfigError: An unknown name, or a network of another kind; two starts at once.
    """

    def __init__(
        self,
        model_name: str,
        kinds: tuple[type[nn.Module], ...],
        *,
        pretrained: str | None,
        with_cp: bool,
        init_cfg: dict | None,
        lora: LoRAFields | None = None,
        **options: Any,
    ) -> None:
        super().__init__(init_cfg)
        own = type(self).__name__
        self.start = None if init_cfg is None else start_file(init_cfg, own)
        if self.start is not None and pretrained:
            raise ConfigError(
                f"{own}: start either from init_cfg=dict(type='Pretrained', checkpoint=PATH) or "
                f"from pretrained='hub', got init_cfg={init_cfg}, pretrained={pretrained!r}"
            )
        # a name such as 'hf-hub:...' would make timm fetch a config from the net
        if not timm.is_model(model_name) or ':' in model_name:
            raise ConfigError(
                f'{own}: timm {timm.__version__} has no network {model_name!r}; '
                f'`timm.list_models()` lists them'
            )
        self.model_name = model_name
        self.pretrained = pretrained
        kind = timm.model_entrypoint(model_name).__module__
        if kind not in {wanted.__module__ for wanted in kinds}:
            known = ' or '.join(wanted.__name__ for wanted in kinds)
            raise ConfigError(f'{own} takes a {known} of timm; {model_name} comes from {kind}')
        self.timm_model: Any = timm.create_model(
            model_name, pretrained=False, num_classes=0, **options
        )
        self.timm_model.set_grad_checkpointing(with_cp)
        self.lora = None if lora is None else LoRA(**lora)
        if self.lora is not None:
            add_adapters(self.timm_model, self.lora)
            #: With the adapters' rank it tells their factor to who reads the weights.
            self.register_buffer(ALPHA, torch.tensor(self.lora.numerator))

    def init_weights(self) -> None:
        """timm's random weights stay, or those of the file or of the Hub are loaded.

        Raises:
            FileNotFoundError: There is no such file; the message says where to get it, under which
                licence, and how to do without.
            CheckpointError: It does not fit, or the Hub cannot be reached.
        """
        if self.start is not None:
            load_timm(self, *self.start)
        elif self.pretrained:
            self.timm_model.load_state_dict(self._fetch())
        self.start_adapters()
        self.is_init = True

    def start_adapters(self) -> None:
        """Where SoMA's adapters start follows from the weights, once these are loaded."""
        if self.lora is not None and self.lora.start == 'soma':
            start_from_minor_directions(self.timm_model)

    def _fetch(self) -> dict[str, Tensor]:
        try:
            fetched = timm.create_model(self.model_name, pretrained=True, num_classes=0)
        except Exception as error:  # the client of the Hub fails in any way
            raise CheckpointError(
                f"pretrained='hub': the weights of {self.model_name} cannot be fetched ({error}). "
                "Use a local file: init_cfg=dict(type='Pretrained', checkpoint=PATH)"
            ) from error
        own = self.timm_model.state_dict()
        return {k: v for k, v in onto_adapters(fetched.state_dict(), own).items() if k in own}


@MODELS.register_module()
@checked
class TimmViT(TimmEncoder):
    """A vision transformer of timm: maps of chosen blocks after the final norm, all of one size.

    Any image size: an image is padded to the patch grid, with the mean colour, and the maps are
    cropped back to it (`functional.position_embedding.covering`).

    Args:
        model_name: E.g. `'vit_base_patch14_dinov2'`, `'vit_large_patch16_dinov3'`.
        out_indices: Blocks whose maps are returned, counted from 0 or, negative, from the end; the
            last one should be among them, or the blocks behind the last chosen one learn nothing.
        scale: Resize the image before: each side becomes the largest multiple of the patch below
            `scale` times itself. VFM-UDA's is 1.1, which makes 1120 of 1024. None: padded only.
        positions: How position embeddings are resampled to the grid of the image: `'timm'`, or
            `'hub'` as DINOv2's own code does (without registers); see
            `functional.position_embedding`.
        drop_path_rate: Largest probability of stochastic depth.
        **kwargs: `pretrained`, `with_cp`, `init_cfg`, `lora`; see `TimmEncoder`.

    Raises:
        ConfigError: A network without a norm of its tokens; `positions='hub'` for one whose hub
            code resamples as timm does.
    """

    mask_token: Tensor

    def __init__(
        self,
        model_name: str,
        *,
        out_indices: Sequence[int] = (-1,),
        scale: Positive | None = None,
        positions: Annotated[str, OneOf(POSITIONS)] = 'timm',
        drop_path_rate: float = 0.0,
        pretrained: Hub | None = None,
        with_cp: bool = False,
        init_cfg: dict | None = None,
        lora: LoRAFields | None = None,
    ) -> None:
        super().__init__(
            model_name,
            (VisionTransformer, Eva),
            pretrained=pretrained,
            with_cp=with_cp,
            init_cfg=init_cfg,
            lora=lora,
            dynamic_img_size=True,
            dynamic_img_pad=True,
            drop_path_rate=drop_path_rate,
        )
        if isinstance(self.timm_model.norm, nn.Identity):
            raise ConfigError(
                f'TimmViT: {model_name} pools before its last norm, so its maps have no norm; '
                'take a network with one, such as those of DINOv2 and DINOv3'
            )
        # what pools the tokens is not used, and would be trained without a gradient
        self.timm_model.attn_pool = None
        if positions == 'hub':
            if type(self.timm_model) is not VisionTransformer or not _has_class_position(
                self.timm_model
            ):
                raise ConfigError(
                    f"TimmViT: positions='hub' is for DINOv2 without registers; {model_name} is "
                    "resampled as timm does by its own code too: positions='timm'"
                )
            self.timm_model.__class__ = _HubPositions
        depth = len(self.timm_model.blocks)
        if not all(-depth <= index < depth for index in out_indices):
            raise ConfigError(
                f'TimmViT: out_indices {tuple(out_indices)}; {model_name} has {depth} blocks'
            )
        self.out_indices = sorted(index % depth for index in out_indices)
        self.scale = scale
        #: What stands for a hidden patch, `(1, D)`: the pretrained one of hub and transformers
        #: files; timm's files have none, which leaves it at zero. It is not trained.
        self.register_buffer('mask_token', torch.zeros(1, self.timm_model.embed_dim))
        self._hidden: Tensor | None = None
        self.timm_model.patch_embed.register_forward_hook(self._hide)

    @property
    def patch_size(self) -> tuple[int, int]:
        """Height and width of a patch in pixels."""
        return self.timm_model.patch_embed.patch_size

    def patch_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of patches, which the maps have, for an image of `(height, width)`."""
        height, width = self.timm_model.patch_embed.dynamic_feat_size(self._seen_size(size))
        return height, width

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, ...]:
        """Maps `(B, D, h, w)` of the chosen blocks.

        Args:
            image: `(B, 3, H, W)`, floating, normalised.
            hidden: `(B, h, w)` bool on the `patch_grid`: patches that `mask_token` replaces.
        """
        size = self._seen_size((image.shape[2], image.shape[3]))
        if size != image.shape[2:]:
            image = F.interpolate(image, size, mode='bilinear', align_corners=False)
        self._hidden = hidden
        maps = self.timm_model.forward_intermediates(
            image, indices=self.out_indices, norm=True, intermediates_only=True
        )
        self._hidden = None
        rows, columns = self.patch_size
        padded = (maps[0].shape[2] * rows, maps[0].shape[3] * columns)
        return tuple(covering(x, padded, size) for x in maps)

    def _seen_size(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.scale is None:
            return size
        height, width = (
            max(int(side * self.scale) // patch, 1) * patch
            for side, patch in zip(size, self.patch_size, strict=True)
        )
        return height, width

    def _hide(self, module: nn.Module, inputs: tuple, patches: Tensor) -> Tensor:
        """After the patch embedding, before positions: `(B, h, w, D)`."""
        if self._hidden is None:
            return patches
        return torch.where(self._hidden[..., None], self.mask_token.to(patches.dtype), patches)


def _has_class_position(network: VisionTransformer) -> bool:
    return network.cls_token is not None and not network.no_embed_class


class _HubPositions(VisionTransformer):
    """timm's network with the position embeddings of DINOv2's own code."""

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Patches `(B, h, w, D)` -> tokens `(B, 1 + h w, D)`, the class token first."""
        batch, height, width, _ = x.shape
        positions = hub_positions(self.pos_embed[:, 1:], (height, width))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(batch, -1, -1)
        return self.pos_drop(torch.cat([first, x.flatten(1, 2) + positions], dim=1))


@MODELS.register_module()
@checked
class TimmConvNeXt(TimmEncoder):
    """A ConvNeXt of timm: four maps at strides 4, 8, 16 and 32, for DAFormer's and HRDA's heads.

    Args:
        model_name: E.g. `'convnext_tiny.dinov3_lvd1689m'`.
        drop_path_rate: Largest probability of stochastic depth.
        **kwargs: `pretrained`, `with_cp`, `init_cfg`; see `TimmEncoder`.
    """

    def __init__(
        self,
        model_name: str,
        *,
        drop_path_rate: float = 0.0,
        pretrained: Hub | None = None,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            model_name,
            (ConvNeXt,),
            pretrained=pretrained,
            with_cp=with_cp,
            init_cfg=init_cfg,
            drop_path_rate=drop_path_rate,
        )
        self.timm_model.head = nn.Identity()  # the norm of the pooled features is not used

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)` normalised -> four maps `(B, D_i, h_i, w_i)`, fine to coarse."""
        return tuple(self.timm_model.forward_intermediates(image, intermediates_only=True))
