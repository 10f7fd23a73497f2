"""Tiny networks of each kind as checkpoints with configs, and what stands for their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.checkpoints.pt2_files import FACTS_ENTRY
from dsr_nss.inference.export_facts import ExportFacts
from dsr_nss.models.backbones import mit

#: The structure of MiT-B0 with a block a stage and narrow ones.
TINY_MIT = mit.Architecture((8, 16, 40, 64), (1, 1, 1, 1))
#: Half of a window is no whole number of cells: HRDA's detail is resampled.
WINDOWS = dict(mode='slide', crop_size=(76, 108), stride=(40, 56))
NAMES = ('sky', 'road', 'tram')
FACTS = dict(
    network='student', precision='float32', size=None, window=None, stride=None, channels='RGB',
    mean=(120.0, 110.5, 100.25), std=(60.0, 55.5, 50.25), padding=None, test_pipeline=[],
    align_corners=False, threshold=None, classes=NAMES, palette=[[0, 0, 9], [0, 9, 0], [9, 0, 0]],
)  # fmt: skip


def daformer_head(channels: list[int], **fields: Any) -> dict[str, Any]:
    return dict(
        type='DAFormerHead', in_channels=channels, channels=8, embed_channels=8, num_classes=19
    ) | dict(fields)


def resnet(**fields: Any) -> dict[str, Any]:
    return dict(type='ResNetEncoder', depth=18, stem_channels=8, base_channels=8) | dict(fields)


_MIT = dict(type='MiT', arch='b0')
#: Segmentors without their preprocessor.
NETWORKS: Mapping[str, dict[str, Any]] = dict(
    hrda=dict(
        type='HRDAEncoderDecoder',
        backbone=_MIT,
        decode_head=dict(
            type='HRDAHead',
            head=daformer_head([8, 16, 40, 64]),
            scale_attention=daformer_head([8, 16, 40, 64], fusion='conv1x1'),
            detail_stride=1.0,
        ),
        test_cfg=WINDOWS,
    ),
    daformer=dict(
        type='AdaptableEncoderDecoder', backbone=_MIT, decode_head=daformer_head([8, 16, 40, 64])
    ),
    deeplabv2=dict(
        type='AdaptableEncoderDecoder',
        backbone=resnet(deep_stem=True, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
        decode_head=dict(
            type='DeepLabV2Head', in_channels=64, dilations=(2, 4, 6, 8), num_classes=19
        ),
    ),
    refinenet=dict(
        type='AdaptableEncoderDecoder',
        backbone=resnet(),
        decode_head=dict(
            type='RefineNetHead',
            in_channels=[8, 16, 32, 64],
            channels=8,
            coarsest_channels=16,
            num_classes=19,
        ),
    ),
    vit=dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='TimmViT', model_name='test_vit', positions='hub', scale=1.1),
        decode_head=dict(type='LightHead', in_channels=64, num_classes=19),
        test_cfg=WINDOWS,
    ),
    # a table of positions that timm resamples
    registers=dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='TimmViT', model_name='vit_small_patch14_reg4_dinov2'),
        decode_head=dict(type='LightHead', in_channels=384, num_classes=19),
    ),
    # padded by the size of the image
    efficientnet=dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='EfficientNetLite0', pretrained=False),
        decode_head=daformer_head([24, 40, 112, 320]),
    ),
    # rotary positions, which are computed in the graph, and images beside the grid of patches
    rotary=dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='TimmViT', model_name='vit_tiny_patch16_dinov3_qkvb'),
        decode_head=dict(type='LightHead', in_channels=192, num_classes=19),
    ),
)


def write_checkpoint(folder: Path, name: str, teacher: bool = False) -> tuple[Path, Path]:
    """A checkpoint and the config of its network.

    Args:
        folder: Where they go.
        name: A key of `NETWORKS`.
        teacher: Write it as a run does, with the same network of other weights as its teacher.
    """
    model = NETWORKS[name] | dict(data_preprocessor=dict(type='AdaptationPreprocessor'))
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale_factor=(0.5, 0.75)) if name == 'deeplabv2' else None,
        dict(type='PackSegInputs'),
    ]
    steps = [step for step in steps if step]
    config = Config(dict(default_scope='mmseg', model=model, test_pipeline=steps))
    path = folder / f'{name}.py'
    path.write_text(config.pretty_text)
    state = weights(config, 0)
    if teacher:
        state = {f'student.{k}': v for k, v in state.items()} | {
            f'teacher.model.{k}': v for k, v in weights(config, 1).items()
        }
    torch.save(dict(meta=dict(iter=1), state_dict=state), folder / f'{name}.pth')
    return folder / f'{name}.pth', path


def weights(config: Config, seed: int) -> dict[str, torch.Tensor]:
    """Random ones that predict several classes."""
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    for parameter in model.decode_head.parameters():
        if parameter.ndim == 4:
            nn.init.normal_(parameter, std=0.3)
    return model.state_dict()


class Colours(nn.Module):
    """A graph that is no network: one logit for each colour."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3)[:, :, None, None])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(image, self.weight)


def facts(**fields: Any) -> ExportFacts:
    return ExportFacts(**(FACTS | fields))


def write_pt2(path: Path, **fields: Any) -> Path:
    """`Colours` for 64x64 as a file of torch.export."""
    text = facts(**dict(size=(64, 64)) | fields).text()
    program = torch.export.export(Colours(), (torch.zeros(1, 3, 64, 64),))
    for node in program.graph.nodes:
        node.meta = {key: value for key, value in node.meta.items() if key == 'val'}
    program._example_inputs = None
    torch.export.save(program, path, extra_files={FACTS_ENTRY: text})
    return path


def onnx_model(text: str | None = None) -> Any:
    """`Colours` for any size as an ONNX model."""
    onnx = __import__('onnx')
    helper, floating = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor('weight', floating, (3, 3, 1, 1), torch.eye(3).flatten().tolist())
    node = helper.make_node('Conv', ['image', 'weight'], ['logits'])
    values = [
        helper.make_tensor_value_info(name, floating, (1, 3, 'h', 'w'))
        for name in ('image', 'logits')
    ]
    graph = helper.make_graph([node], 'colours', values[:1], values[1:], [weight])
    opset = helper.make_opsetid('', 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    helper.set_model_props(model, {'dsr_nss': facts().text() if text is None else text})
    return model


def write_onnx(path: Path, text: str | None = None) -> Path:
    path.write_bytes(onnx_model(text).SerializeToString())
    return path
