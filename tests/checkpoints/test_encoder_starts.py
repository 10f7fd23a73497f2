"""Encoders start from any part of a checkpoint, and from what other packages write."""

import pytest
import torch
from mmseg.registry import MODELS

from dsr_nss.checkpoints.mit import convert_mit
from dsr_nss.checkpoints.mmengine_loading import is_address, local_file
from dsr_nss.checkpoints.reading import start_file
from dsr_nss.errors import CheckpointError

ENCODERS = dict(
    mit=dict(type='MiT', arch='b0'),
    resnet=dict(type='ResNetEncoder', depth=18, base_channels=8, stem_channels=8),
    efficientnet=dict(type='EfficientNetLite0', pretrained=False),
)
PLACES = ('student.backbone.', 'teacher.model.backbone.', 'feature_distance.encoder.')


def randomised(encoder):
    for value in encoder.state_dict().values():
        if value.is_floating_point():
            torch.nn.init.normal_(value)
    return encoder


@pytest.mark.parametrize('name', ENCODERS)
def test_a_checkpoint_of_this_package_starts_an_encoder(tmp_path, name):
    if name == 'efficientnet':
        pytest.importorskip('timm')
    parts = {place: randomised(MODELS.build(ENCODERS[name])) for place in PLACES}
    state = {f'{at}{key}': v for at, part in parts.items() for key, v in part.state_dict().items()}
    path = tmp_path / 'iter_9.pth'
    torch.save(dict(state_dict=state, meta={}), path)
    for place, part in parts.items():
        start = dict(type='Pretrained', checkpoint=str(path), prefix=place.rstrip('.'))
        encoder = MODELS.build({**ENCODERS[name], 'init_cfg': start})
        encoder.init_weights()
        for key, value in part.state_dict().items():
            assert torch.equal(encoder.state_dict()[key], value), key
    start['prefix'] = 'student.encoder.'
    encoder = MODELS.build({**ENCODERS[name], 'init_cfg': start})
    with pytest.raises(CheckpointError, match="begins with 'student.encoder.'.*feature_distance"):
        encoder.init_weights()


@pytest.mark.parametrize('name', ['mit', 'resnet'])
def test_of_several_encoders_one_must_be_named(tmp_path, name):
    state = MODELS.build(ENCODERS[name]).state_dict()
    path = tmp_path / 'two.pth'
    torch.save({f'{at}{key}': v for at in PLACES for key, v in state.items()}, path)
    start = dict(type='Pretrained', checkpoint=str(path))
    with pytest.raises(CheckpointError, match=r'teacher\.model\.backbone.*init_cfg\.prefix names'):
        MODELS.build({**ENCODERS[name], 'init_cfg': start}).init_weights()


@pytest.mark.parametrize(
    'wrong', [dict(type='Constant'), dict(type='Pretrained'),
              dict(type='Pretrained', checkpoint='a', prefx='b')]
)  # fmt: skip
@pytest.mark.parametrize('name', ENCODERS)
def test_other_starts_are_refused(name, wrong):
    if name == 'efficientnet':
        pytest.importorskip('timm')
    with pytest.raises(ValueError, match=r'init_cfg must be None or dict\(type="Pretrained"'):
        MODELS.build({**ENCODERS[name], 'init_cfg': wrong})


def test_a_prefix_ends_with_a_point():
    given = dict(type='Pretrained', checkpoint='a.pth', prefix='backbone')
    assert start_file(given, 'MiT') == ('a.pth', 'backbone.')


def as_huggingface(state):
    """The names that the `transformers` package gives the entries of a `MiT`."""
    inner = {
        'norm1': 'layer_norm_1', 'attn.q': 'attention.self.query', 'attn.sr': 'attention.self.sr',
        'attn.norm': 'attention.self.layer_norm', 'attn.proj': 'attention.output.dense',
        'norm2': 'layer_norm_2', 'mlp.fc1': 'mlp.dense1', 'mlp.fc2': 'mlp.dense2',
        'mlp.dwconv.dwconv': 'mlp.dwconv.dwconv',
    }  # fmt: skip
    named = {}
    for name, value in state.items():
        first, _, rest = name.partition('.')
        module, _, kind = rest.rpartition('.')
        stage = int(first[-1]) - 1
        if first.startswith('patch_embed'):
            part = {'proj': 'proj', 'norm': 'layer_norm'}[module]
            named[f'patch_embeddings.{stage}.{part}.{kind}'] = value
        elif first.startswith('norm'):
            named[f'layer_norm.{stage}.{rest}'] = value
        else:
            index, _, part = module.partition('.')
            block = f'block.{stage}.{index}'
            if part == 'attn.kv':
                key, values = value.chunk(2)
                named[f'{block}.attention.self.value.{kind}'] = values
                named[f'{block}.attention.self.key.{kind}'] = key
            else:
                named[f'{block}.{inner[part]}.{kind}'] = value
    return named


@pytest.mark.parametrize('prefix', ['segformer.encoder.', 'encoder.'])
def test_files_of_the_transformers_package(prefix):
    state = randomised(MODELS.build(ENCODERS['mit'])).state_dict()
    file = {f'{prefix}{name}': value for name, value in as_huggingface(state).items()}
    assert any(name.endswith('block.1.0.attention.self.key.weight') for name in file)
    converted = convert_mit(file | {'decode_head.classifier.weight': torch.zeros(19, 768, 1, 1)})
    assert converted.keys() == state.keys()
    assert all(torch.equal(converted[name], value) for name, value in state.items())
    del file[f'{prefix}block.0.0.attention.self.value.bias']
    with pytest.raises(CheckpointError, match=r'self\.key\.bias has no entry of the values'):
        convert_mit(file)


def test_addresses(monkeypatch, tmp_path):
    assert is_address('https://a.b/c.pth') and not is_address('data/c.pth')
    with pytest.raises(
        CheckpointError, match='torchvision://resnet50 is no address that is fetched'
    ):
        local_file('torchvision://resnet50')

    def fetch(address, path):
        if 'gone' in address:
            raise OSError('no route')
        torch.save({'a': torch.zeros(1)}, path)

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', fetch)
    assert local_file('https://a.b/net-0123abcd.pth') == tmp_path / 'checkpoints/net-0123abcd.pth'
    # names without a digest are given to many files
    kept = {local_file(f'https://a.b/{name}') for name in ('1/c.pth', '2/c.pth', 'c.pth?id=2', '')}
    assert len(kept) == 4 and all(file.parent == tmp_path / 'checkpoints' for file in kept)
    with pytest.raises(CheckpointError, match=r'https://gone/d.pth cannot be fetched \(no route\)'):
        local_file('https://gone/d.pth')
