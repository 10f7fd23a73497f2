"""What the converter writes, reports and refuses. Networks are small; equality with published
outputs is in `test_convert_parity.py`."""

import hashlib

import pytest
import torch
from mmengine.config import Config
from mmseg.apis import init_model
from mmseg.registry import MODELS

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.classes import CLASSES
from dsr_nss.conversion.config import HALVED, real_test_sets
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.conversion.report import describe_conversion, inspect_checkpoint
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.inference.load import load_model
from tests.models.segmentors.networks import build_hrda, build_single_scale

IMAGE = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    """A small HRDA with random weights; its names are those of HRDA's own files."""
    torch.manual_seed(0)
    model = build_hrda().eval()
    model.init_weights()
    return model


def save(path, state, **others):
    torch.save(dict(state_dict=dict(state), **others), path)
    return path


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


@pytest.fixture
def source(tmp_path, network):
    """A training file of HRDA: student, teacher (all weights doubled) and ImageNet network."""
    state = network.state_dict()
    teacher = {name: value * 2 for name, value in state.items()}
    both = {**prefixed(state, 'model.'), **prefixed(teacher, 'ema_model.')}
    frozen = prefixed({n: v for n, v in state.items() if 'backbone' in n}, 'imnet_model.')
    return save(tmp_path / 'iter_40000.pth', {**both, **frozen}, meta=dict(iter=40000))


def convert(source, **options):
    destination = source.parent / 'out' / 'converted.pth'
    return convert_checkpoint(source, destination, **options)


# --- complete files -------------------------------------------------------------------------------


def test_what_is_written(source, network):
    result = convert(source, config_out=source.parent / 'network.py')
    assert result.comparison.complete and result.layout == 'hrda'
    assert result.left_out['teacher'] == len(network.state_dict())
    content = torch.load(result.written, weights_only=True)
    assert all(torch.equal(v, content['state_dict'][k]) for k, v in network.state_dict().items())
    assert content['meta']['dataset_meta']['classes'] == CLASSES
    provenance = content['meta']['provenance']
    assert provenance['source'] == 'iter_40000.pth'
    assert provenance['sha256'] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (provenance['layout'], provenance['model']) == ('hrda', 'student')
    assert provenance['network'] == 'HRDAHead on MiT b0, 19 classes'
    assert [path.name for path in result.written.parent.iterdir()] == ['converted.pth']


def test_the_written_pair_is_a_network_for_mmseg_and_for_us(source, network):
    result = convert(source, config_out=source.parent / 'network.py')
    theirs = init_model(str(result.config_written), str(result.written), device='cpu')
    ours = load_model(result.config_written, result.written)
    with torch.no_grad():
        expected = network.encode_decode(IMAGE, [])
        assert torch.equal(theirs.encode_decode(IMAGE, []), expected)
        assert torch.equal(ours.encode_decode(IMAGE, []), expected)
    assert theirs.dataset_meta['classes'] == CLASSES
    config = Config.fromfile(str(result.config_written))
    assert config.model.decode_head.truncate_boxes
    assert set(config.test_sets) >= {'dark_zurich_val', 'acdc_night_val', 'cityscapes_val'}


def test_teacher(source, network):
    result = convert(source, network='teacher')
    bias = torch.load(result.written)['state_dict']['decode_head.head.conv_seg.weight']
    assert torch.equal(bias, 2 * network.decode_head.head.conv_seg.weight)
    assert 'student' in result.left_out


def test_converting_twice_changes_nothing(source):
    first = convert(source)
    second = convert_checkpoint(first.written, source.parent / 'again.pth')
    a, b = (torch.load(result.written)['state_dict'] for result in (first, second))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert first.config['test_cfg'] == second.config['test_cfg']


def test_start_of_a_training_and_of_an_encoder(source, network):
    from dsr_nss.engine.runner import load_start

    result = convert(source)
    state = torch.load(result.written)['state_dict']
    torch.manual_seed(1)
    student = build_hrda()
    load_start(student, state, 'converted.pth')
    assert torch.equal(student.backbone.norm1.weight, network.backbone.norm1.weight)
    encoder = MODELS.build(
        dict(type='MiT', init_cfg=dict(type='Pretrained', checkpoint=str(result.written)))
    )
    encoder.init_weights()
    own = network.backbone.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in encoder.state_dict().items())


def test_names_of_parallel_training_and_of_a_bare_state_dict(tmp_path, network):
    torch.save(prefixed(network.state_dict(), 'module.'), tmp_path / 'bare.pth')
    assert convert(tmp_path / 'bare.pth').comparison.complete


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32_and_it_is_said(tmp_path, network, dtype):
    state = {
        k: v.to(dtype) if v.is_floating_point() else v for k, v in network.state_dict().items()
    }
    result = convert(save(tmp_path / 'half.pth', state))
    name = str(dtype).removeprefix('torch.')
    floats = sum(v.is_floating_point() for v in state.values())
    note = f'{floats} tensors converted from {name} to float32'
    assert note in describe_conversion(result)
    content = torch.load(result.written)
    assert note in content['meta']['provenance']['notes']
    assert {v.dtype for v in content['state_dict'].values()} == {torch.float32, torch.int64}


def test_half_is_the_nearest_float16_and_counters_stay(source, network):
    result = convert(source, half=True, config_out=source.parent / 'network.py')
    assert 'written in float16' in describe_conversion(result)
    written = torch.load(result.written)['state_dict']
    for name, value in network.state_dict().items():
        assert torch.equal(written[name], value.half() if value.is_floating_point() else value)
    read = load_model(result.config_written, result.written).state_dict()
    assert all(torch.equal(read[name], value.to(read[name])) for name, value in written.items())


def test_half_refuses_what_float16_cannot_hold(tmp_path, network):
    state = network.state_dict()
    state['decode_head.head.conv_seg.bias'] = torch.full((19,), 7e4)
    with pytest.raises(CheckpointError, match=r'too large for float16 \(65504\): .*conv_seg\.bias'):
        convert(save(tmp_path / 'large.pth', state), half=True)
    assert not (tmp_path / 'out').exists()


def test_missing_batch_counters_are_zero_and_it_is_said(tmp_path, network):
    state = {k: v for k, v in network.state_dict().items() if not k.endswith('batches_tracked')}
    result = convert(save(tmp_path / 'old.pth', state))
    assert result.written and 'were missing and set to 0' in describe_conversion(result)


def test_networks_without_a_detail_branch_are_tested_at_half_size(tmp_path, source):
    """As their authors do; BDD100K's images come to the same 540x960."""
    single = save(tmp_path / 'daformer.pth', prefixed(build_single_scale().state_dict(), 'model.'))
    result = convert(single, config_out=tmp_path / 'daformer.py')
    assert result.layout == 'daformer'
    sets = Config.fromfile(str(result.config_written)).test_sets
    resize = [step for step in sets.dark_zurich_val.pipeline if step.type == 'Resize']
    assert resize == [dict(type='Resize', scale_factor=0.5)]
    assert sets.bdd100k_night_val.pipeline[1].scale_factor == 0.75
    assert not any(step.type == 'LoadAnnotations' for step in sets.dark_zurich_test.pipeline)
    again = convert_checkpoint(result.written, tmp_path / 'a.pth', config_out=tmp_path / 'a.py')
    assert Config.fromfile(str(again.config_written)).test_sets == sets
    whole = Config.fromfile(str(convert(source, config_out=tmp_path / 'b.py').config_written))
    assert all(step.type != 'Resize' for step in whole.test_sets.dark_zurich_val.pipeline)


def test_the_test_sets_are_those_of_our_configs(repo_root):
    for path, transforms in (
        ('dsr_hrda_darkzurich.py', []),
        ('dsr_daformer_darkzurich.py', HALVED),
    ):
        config = Config.fromfile(str(repo_root / 'configs' / path))
        assert config.test_sets.to_dict() == real_test_sets(transforms)


def test_mic_is_recognised(tmp_path, network):
    state = prefixed(network.state_dict(), 'model.')
    meta = dict(config="uda = dict(mask_mode = 'separatetrgaug', mask_ratio=0.7)", iter=40000)
    assert convert(save(tmp_path / 'mic.pth', state, meta=meta)).layout == 'mic'
    meta['config'] = 'uda = dict(mask_mode = None)'
    assert convert(save(tmp_path / 'hrda.pth', state, meta=meta)).layout == 'hrda'


# --- incomplete files -----------------------------------------------------------------------------


def test_everything_that_does_not_fit_is_reported_and_nothing_written(tmp_path, network):
    state = network.state_dict()
    del state['backbone.block3.0.attn.q.weight']
    state['backbone.norm1.weight'] = torch.zeros(7)
    state['backbone.block9.extra'] = torch.zeros(1)
    state['decode_head.head.conv_seg.bias'] = torch.full((19,), float('nan'))
    result = convert(save(tmp_path / 'damaged.pth', state))
    assert result.written is None and not (tmp_path / 'out').exists()
    report = describe_conversion(result)
    for line in (
        f'matched           {len(state) - 3}',
        'missing           1: backbone.block3.0.attn.q.weight',
        'unexpected        1: backbone.block9.extra',
        'shape-mismatched  1: backbone.norm1.weight (7,) for (32,)',
        'NaN or infinite   1: decode_head.head.conv_seg.bias',
        'incomplete: nothing was written; --partial',
    ):
        assert line in report


def test_a_width_that_no_entry_tells_is_asked_for(tmp_path, network):
    lost = [k for k in network.state_dict() if 'embed_layers' in k and k.endswith('proj.bias')]
    state = {name: value for name, value in network.state_dict().items() if name not in lost}
    source = save(tmp_path / 'damaged.pth', state)
    with pytest.raises(CheckpointError, match='width of a layer cannot be told; .* --config'):
        convert(source, partial=True)


def test_partial_says_what_is_left_at_random(tmp_path, network):
    state = network.state_dict()
    lost = ['backbone.block3.0.attn.q.weight', 'decode_head.head.conv_seg.bias']
    del state[lost[0]]
    state[lost[1]] = state[lost[1]] * float('inf') + float('nan')
    source = save(tmp_path / 'damaged.pth', state)
    result = convert(source, partial=True)
    assert result.random == lost
    assert f'left at random: 2 entries of the network: {", ".join(lost)}' in describe_conversion(
        result
    )
    content = torch.load(result.written)
    assert content['meta']['provenance']['left_at_random'] == lost
    values = content['state_dict']
    assert values.keys() == network.state_dict().keys()
    assert 0.01 < values[lost[0]].std() < 0.03  # as a MiT starts
    assert torch.equal(values['backbone.norm4.bias'], state['backbone.norm4.bias'])
    again = torch.load(convert(source, partial=True).written)['state_dict']
    assert torch.equal(values[lost[0]], again[lost[0]])


def test_what_is_at_random_stays_so_in_a_second_conversion(tmp_path, network):
    state = network.state_dict()
    del state['backbone.norm4.bias']
    first = convert(save(tmp_path / 'damaged.pth', state), partial=True)
    again = convert_checkpoint(first.written, tmp_path / 'again.safetensors', half=True)
    assert again.random == ['backbone.norm4.bias']
    assert 'left at random: 1 entries' in describe_conversion(again)
    content = load_checkpoint_file(again.written)
    assert content['meta']['provenance']['left_at_random'] == ['backbone.norm4.bias']


def test_a_config_is_a_python_file(tmp_path, source):
    with pytest.raises(ConfigError, match=r'net\.json must end in \.py'):
        convert(source, config_out=tmp_path / 'net.json')


def test_loading_a_partial_network_warns(tmp_path, network):
    state = network.state_dict()
    del state['backbone.norm4.bias']
    source = save(tmp_path / 'damaged.pth', state)
    result = convert(source, partial=True, config_out=tmp_path / 'network.py')
    with pytest.warns(UserWarning, match='1 entries at random: backbone.norm4.bias'):
        load_model(result.config_written, result.written)


def test_19_classes_into_a_model_of_11(source, tmp_path):
    """The config names the network; only its classifiers do not fit."""
    eleven = tmp_path / 'eleven.py'
    result = convert(source, config_out=eleven)
    eleven.write_text(eleven.read_text().replace('num_classes=19', 'num_classes=11'))
    with pytest.raises(CheckpointError, match=r'conv_seg.weight \(19, 16, 1, 1\) for \(11, 16'):
        load_model(eleven, result.written)
    refused = convert(source, config=eleven)
    assert refused.written is None
    assert set(refused.comparison.mismatched) == {
        f'decode_head.{head}.conv_seg.{kind}'
        for head in ('head', 'scale_attention')
        for kind in ('weight', 'bias')
    }
    accepted = convert(source, config=eleven, partial=True)
    assert len(accepted.random) == 4
    assert len(torch.load(accepted.written)['meta']['dataset_meta']['classes']) == 11


def test_another_number_of_classes_is_told_from_the_file(tmp_path):
    state = build_single_scale().state_dict()
    state = {k: v[:11].clone() if 'conv_seg' in k else v for k, v in state.items()}
    names = tuple(f'thing {i}' for i in range(11))
    palette = [[i, i, i] for i in range(11)]
    source = save(tmp_path / 'camvid.pth', state, meta=dict(CLASSES=names, PALETTE=palette))
    result = convert(source, config_out=tmp_path / 'camvid.py')
    assert result.comparison.complete and result.config['decode_head']['num_classes'] == 11
    assert torch.load(result.written)['meta']['dataset_meta'] == dict(
        classes=names, palette=palette
    )
    assert 'test_sets' not in Config.fromfile(str(tmp_path / 'camvid.py'))


# --- what is refused ------------------------------------------------------------------------------


def test_wrong_requests(source, tmp_path):
    with pytest.raises(CheckpointError, match='not the layout uawarpc: its entries fit HRDA'):
        convert(source, layout='uawarpc')
    with pytest.raises(ValueError, match="'auto' or one of"):
        convert(source, layout='keras')
    with pytest.raises(ValueError, match='network must be one of'):
        convert(source, network='both')
    with pytest.raises(ConfigError, match='must be different files'):
        convert_checkpoint(source, source)
    with pytest.raises(ConfigError, match='is a folder'):
        convert_checkpoint(source, tmp_path)
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        convert(tmp_path / 'nothing.pth')


def test_no_teacher(tmp_path, network):
    source = save(tmp_path / 'student.pth', network.state_dict())
    with pytest.raises(CheckpointError, match=r'student.pth: holds no teacher; it holds: student'):
        convert(source, network='teacher')


def test_unknown_names_are_shown(tmp_path):
    source = save(tmp_path / 'other.pth', {'encoder.stem.weight': torch.zeros(3)})
    with pytest.raises(CheckpointError, match='other.pth: no known layout; .* begin with encoder'):
        convert(source)


def test_unknown_heads_ask_for_a_config(tmp_path, network):
    state = {k: v for k, v in network.state_dict().items() if k.startswith('backbone')}
    source = save(tmp_path / 'other.pth', {**state, 'decode_head.gate.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='head of the network cannot be told .* --config'):
        convert(source)


# --- inspection -----------------------------------------------------------------------------------


def test_inspection(source, tmp_path):
    text = inspect_checkpoint(source)
    for part in (
        'layout hrda: HRDA, MIC and DAFormer',
        'student: 250 entries',
        'teacher: 250 entries',
        'the frozen encoder of the feature distance: 176 entries',
        hashlib.sha256(source.read_bytes()).hexdigest(),
        'iter: 40000',
    ):
        assert part in text
    weights = {'w': torch.tensor([float('nan')]), 'b': torch.zeros(2, dtype=torch.float16)}
    text = inspect_checkpoint(save(tmp_path / 'odd.pth', weights))
    assert 'no known layout' in text and 'NaN or infinite values in 1 tensors: w' in text
    assert '1 float32, 1 float16' in text
