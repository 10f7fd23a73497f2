"""Every kind of network as ONNX and as torch.export predicts what its checkpoint predicts."""

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from PIL import Image

import dsr_nss
from dsr_nss.checkpoints.onnx_files import read_onnx
from dsr_nss.conversion import export as export_module
from dsr_nss.conversion.export import export_network
from dsr_nss.errors import CheckpointError, ConfigError, DataError
from dsr_nss.inference.export_facts import read_facts
from dsr_nss.models.backbones import mit
from tests.exported_networks import TINY_MIT, WINDOWS, write_checkpoint

pytest.importorskip('onnxruntime', reason='the extra export is not installed')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Here MiT-B0 is a tiny one, and a vision transformer has two blocks."""
    make = timm.create_model

    def two_blocks(model_name, **fields):
        return make(model_name, **fields, **(dict(depth=2) if model_name[:3] == 'vit' else {}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mit.ARCHITECTURES, 'b0', TINY_MIT)
        patch.setattr(timm, 'create_model', two_blocks)
        yield tmp_path_factory.mktemp('exported')


@pytest.fixture(scope='module')
def loaded(folder):
    """Checkpoints by name, each written and loaded once."""
    known = {}

    def load(name):
        if name not in known:
            checkpoint, config = write_checkpoint(folder, name)
            known[name] = dsr_nss.load(checkpoint, config, device='cpu')
        return known[name]

    return load


@pytest.fixture(scope='module')
def exported(folder, loaded):
    """Files and reports by what made them, each made once."""
    known = {}

    def export(name, form, **fields):
        key = (name, form, *sorted(fields.items()))
        if key not in known:
            file = folder / f'{name}_{len(known)}{export_module.SUFFIXES[form]}'
            known[key] = export_network(loaded(name), file, form=form, **fields)
        return known[key]

    return export


def images(*sizes):
    rng = np.random.default_rng(3)
    for height, width in sizes:
        small = rng.integers(0, 256, (height // 9 + 1, width // 9 + 1, 3), dtype=np.uint8)
        yield small.repeat(9, 0).repeat(9, 1)[:height, :width]


CASES = [
    ('hrda', 'onnx', dict(), [(76, 108), (101, 131)]),
    ('hrda', 'torch_export', dict(), [(76, 108), (101, 131)]),
    ('daformer', 'onnx', dict(size=(75, 130)), [(75, 130)]),
    ('daformer', 'torch_export', dict(size=(75, 130)), [(75, 130)]),
    ('deeplabv2', 'onnx', dict(), [(151, 195), (130, 260)]),
    ('refinenet', 'torch_export', dict(), [(75, 97), (64, 130)]),
    ('refinenet', 'onnx', dict(size=(65, 97)), [(65, 97)]),
    ('efficientnet', 'onnx', dict(size=(75, 97)), [(75, 97)]),
    ('efficientnet', 'torch_export', dict(size=(75, 97)), [(75, 97)]),
    ('vit', 'onnx', dict(), [(76, 108), (101, 131)]),
    ('vit', 'torch_export', dict(), [(101, 131)]),
    ('registers', 'onnx', dict(size=(75, 131)), [(75, 131)]),
    ('registers', 'torch_export', dict(size=(75, 131)), [(75, 131)]),
    ('rotary', 'onnx', dict(size=(64, 96)), [(64, 96)]),
    ('rotary', 'torch_export', dict(size=(75, 131)), [(75, 131)]),
]


@pytest.mark.parametrize(('name', 'form', 'fields', 'sizes'), CASES)
def test_an_exported_network_predicts_what_its_checkpoint_predicts(
    loaded, exported, name, form, fields, sizes
):
    report = exported(name, form, **fields)
    assert [one.different for one in report.parity] == [0, 0]
    assert max(one.difference / one.largest for one in report.parity) < 1e-4
    model, own = loaded(name), dsr_nss.load(report.path, device='cpu')
    assert (own.names, own.palette) == (model.names, [list(c) for c in model.palette])
    for image in images(*sizes):
        expected, got = model.predict(image), own.predict(image)
        assert len(np.unique(expected.labels)) > 1
        assert np.array_equal(got.labels, expected.labels)
        np.testing.assert_allclose(got.confidence, expected.confidence, atol=1e-4)


def test_graphs_for_any_size_are_compared_at_two_sizes(exported):
    sizes = [one.size for one in exported('refinenet', 'torch_export').parity]
    assert len(set(sizes)) == 2 and any(height != width for height, width in sizes)


def test_the_metadata_say_what_is_around_the_graph(exported):
    report = exported('hrda', 'onnx')
    facts = read_facts(read_onnx(report.path).facts, report.path)
    assert facts == report.facts
    assert (facts.window, facts.stride) == (WINDOWS['crop_size'], WINDOWS['stride'])
    assert facts.size == facts.window and facts.mean == (123.675, 116.28, 103.53)
    assert facts.classes[0] == 'road' and len(facts.palette) == 19
    assert exported('deeplabv2', 'onnx').facts.test_pipeline == [
        dict(type='Resize', scale_factor=(0.5, 0.75))
    ]


def test_views_of_several_sizes_pass_through_a_graph_for_any_size(loaded, exported):
    report = exported('refinenet', 'torch_export')
    model, own = loaded('refinenet'), dsr_nss.load(report.path, device='cpu', tta=True)
    (image,) = images((128, 160))
    expected = dsr_nss.Predictor(model.model, model.config, tta=True).predict(image)
    assert np.array_equal(own.predict(image).labels, expected.labels)


def test_half_precision_is_inside_of_the_graph(loaded, exported):
    report = exported('deeplabv2', 'torch_export', size=(96, 128), half=True)
    assert report.facts.precision == 'float16'
    values = sum(weight.numel() for weight in loaded('deeplabv2').model.parameters())
    assert report.path.stat().st_size < 3.3 * values  # in float32 it has more than 4 bytes a value
    assert 0 < max(one.difference / one.largest for one in report.parity) < 0.02
    assert max(one.different / one.cells for one in report.parity) < 0.05


def test_8_bits_are_calibrated_on_images(loaded, exported, folder):
    paths = []
    for i, image in enumerate(images((65, 97), (65, 97))):
        paths.append(folder / f'{i}.png')
        Image.fromarray(image).save(paths[-1])
    report = exported('refinenet', 'onnx', size=(65, 97), calibration=tuple(paths))
    assert report.facts.precision == 'int8'
    kinds = {node.op_type for node in __import__('onnx').load(report.path).graph.node}
    assert {'QuantizeLinear', 'DequantizeLinear'} <= kinds
    (image,) = images((65, 97))
    wanted = loaded('refinenet').predict(image).labels
    assert np.mean(dsr_nss.load(report.path, device='cpu').predict(image).labels == wanted) > 0.7


def test_calibration_images_of_another_size_are_named(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, '_trace', None)  # which takes minutes
    (image,) = images((64, 96))
    Image.fromarray(image).save(tmp_path / 'small.png')
    with pytest.raises(DataError, match=r'small\.png: .* 64x96, and the graph takes 65x97'):
        export_network(
            loaded('refinenet'), tmp_path / 'a.onnx', form='onnx', size=(65, 97),
            calibration=[tmp_path / 'small.png'],
        )  # fmt: skip


@pytest.mark.parametrize(
    ('name', 'fields', 'message'),
    [
        ('hrda', dict(size='dynamic'), 'HRDA places its detail windows'),
        ('efficientnet', dict(), 'encoder pad by the size of their input.*--size HxW'),
        ('hrda', dict(size=(80, 80)), 'windows of 76x108'),
        ('refinenet', dict(size=(65, 32)), '64 to 8192 pixels'),
        ('refinenet', dict(half=True, calibration=['a.png']), '8 bits are for ONNX'),
        ('refinenet', dict(form='torch_export'), 'ends in .pt2'),
        ('refinenet', dict(form='tensorrt'), "got 'tensorrt'"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(loaded, tmp_path, name, fields, message):
    with pytest.raises(ConfigError, match=message):
        export_network(loaded(name), tmp_path / 'a.onnx', **dict(form='onnx') | fields)
    assert not list(tmp_path.iterdir())


def test_a_segmentor_of_mmseg_is_refused(config_file, checkpoint, tmp_path):
    predictor = dsr_nss.load(checkpoint, config_file, device='cpu')
    with pytest.raises(ConfigError, match='EncoderDecoder is not exported'):
        export_network(predictor, tmp_path / 'a.onnx', form='onnx')


def test_a_file_that_gives_other_classes_is_not_kept(loaded, tmp_path, monkeypatch):
    real = export_module._Logits.forward
    monkeypatch.setattr(export_module._Logits, 'forward', lambda self, x: real(self, x).flip(1))
    with pytest.raises(CheckpointError, match='a.pt2 was not written: at 65x97 .* another class'):
        export_network(loaded('refinenet'), tmp_path / 'a.pt2', form='torch_export', size=(65, 97))
    assert not list(tmp_path.iterdir())


def test_a_file_that_overflows_is_not_kept(loaded, tmp_path, monkeypatch):
    real = export_module._Logits.forward
    monkeypatch.setattr(
        export_module._Logits, 'forward', lambda self, x: real(self, x) / torch.zeros(1)
    )
    with pytest.raises(CheckpointError, match='values that are not finite'):
        export_network(
            loaded('refinenet'), tmp_path / 'a.pt2', form='torch_export', size=(65, 97), half=True
        )
    assert not list(tmp_path.iterdir())


def test_the_page_shows_how_a_file_is_used_without_this_package(
    exported, repo_root, tmp_path, monkeypatch, capsys
):
    page = (repo_root / 'docs/export.md').read_text()
    code = page.split('```python\n')[1].split('```')[0]
    assert 'dsr_nss' not in code.replace("['dsr_nss']", '')
    report = exported('hrda', 'onnx')
    (tmp_path / 'student.onnx').write_bytes(report.path.read_bytes())
    (pixels,) = images((76, 108))
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert str([report.facts.classes[k] for k in np.unique(names['logits'].argmax(1))]) in (
        capsys.readouterr().out
    )
    network = dsr_nss.load(report.path, device='cpu')
    item = network.prepare(pixels, 'photo')
    batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
    inputs = network.model.data_preprocessor(batch)['inputs']
    np.testing.assert_allclose(names['logits'], network.model.graph(inputs), atol=1e-4)


@pytest.fixture
def tool(run_tool, capsys):
    """A command line: its exit code and what it says."""
    return lambda *words: (run_tool(*words), ''.join(capsys.readouterr()))


def test_the_command_lines_export_a_teacher_and_predict_with_it(tool, tmp_path):
    checkpoint, config = write_checkpoint(tmp_path, 'refinenet', teacher=True)
    code, said = tool(
        'export', config, checkpoint, '--format', 'torch_export', '--model', 'teacher'
    )
    file = tmp_path / 'refinenet_teacher.pt2'
    assert code == 0 and f'{file}: teacher, float32, any size' in said
    assert said.count('100 % of') == 2
    (tmp_path / 'photos').mkdir()
    (pixels,) = images((77, 101))
    Image.fromarray(pixels).save(tmp_path / 'photos/a.png')
    for which, source in (('graph', [file]), ('torch', [config, checkpoint, '--model', 'teacher'])):
        code, said = tool(
            'infer', *source, tmp_path / 'photos', '--out', tmp_path / which, '--device', 'cpu'
        )
        assert code == 0
    paths = [tmp_path / which / 'labelTrainIds/a.png' for which in ('graph', 'torch')]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    student = dsr_nss.load(checkpoint, config, device='cpu').predict(pixels).labels
    assert not np.array_equal(np.array(Image.open(paths[0])), student)
    code, said = tool('infer', config, file, tmp_path / 'photos', '--out', tmp_path / 'x')
    assert code == 2 and 'takes no config' in said


def test_options_change_the_network_that_a_checkpoint_carries(tool, tmp_path):
    checkpoint, config = write_checkpoint(tmp_path, 'refinenet')
    content = torch.load(checkpoint)
    content['meta'] = dict(content.get('meta') or {}, cfg=Config.fromfile(str(config)).pretty_text)
    (tmp_path / 'run').mkdir()
    torch.save(content, tmp_path / 'run/iter_7.pth')
    options = ['--cfg-options', '+model.data_preprocessor.mean=[1,2,3]', '--size', '64x64']
    code, said = tool('export', tmp_path / 'run/iter_7.pth', '--format', 'torch_export', *options)
    assert code == 0, said
    assert dsr_nss.load(tmp_path / 'run/iter_7.pt2').model.facts.mean == (1, 2, 3)


def test_the_command_line_names_what_is_wrong(tool, tmp_path):
    code, said = tool('export', tmp_path / 'absent.pth', '--format', 'onnx')
    assert code == 2 and 'checkpoint not found' in said
    for words in (['--size', '3'], ['--half', '--int8', 'a.png'], ['--format', 'coreml']):
        with pytest.raises(SystemExit):
            tool('export', 'a.pth', '--format', 'onnx', *words)
