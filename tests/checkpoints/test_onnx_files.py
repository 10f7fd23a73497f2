"""ONNX files of strangers: nothing else is opened, nothing endless is run."""

import importlib

import pytest

from dsr_nss.checkpoints import onnx_files
from dsr_nss.checkpoints.onnx_files import read_onnx
from dsr_nss.errors import CheckpointError, ConfigError
from tests.exported_networks import facts, onnx_model, write_onnx

onnx = pytest.importorskip('onnx', reason='the extra export is not installed')


def test_a_file_of_this_package_is_read(tmp_path):
    file = write_onnx(tmp_path / 'a.onnx')
    assert read_onnx(file) == (file.read_bytes(), facts().text())


def move_weight(model, location):
    tensor = model.graph.initializer[0]
    move(tensor, location)


def move(tensor, location):
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=location)


def add_constant(model, location):
    node = onnx.helper.make_node(
        'Constant', [], ['c'], value=onnx.helper.make_tensor('inner', 1, (1,), [1.0])
    )
    move(node.attribute[0].t, location)
    model.graph.node.append(node)


def add_loop(model):
    body = onnx.helper.make_graph([], 'body', [], [])
    model.graph.node.append(onnx.helper.make_node('Loop', [], ['n'], body=body))


def add_loop_of_no_type(model):
    add_loop(model)
    model.graph.node[-1].attribute[0].ClearField('type')


def add_operator(model):
    node = onnx.helper.make_node('EPContext', ['image'], ['n'], domain='com.microsoft')
    model.graph.node.append(node)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda m: move_weight(m, '/etc/passwd'), "another file, '/etc/passwd', which is not"),
        (lambda m: move_weight(m, '../up.bin'), "'weight' lie in another file, '../up.bin'"),
        (lambda m: move_weight(m, 'beside.bin'), "another file, 'beside.bin'"),
        (lambda m: add_constant(m, '/etc/passwd'), "'inner' lie in another file"),
        (add_loop, 'a loop or a branch'),
        (add_loop_of_no_type, 'a loop or a branch'),
        (add_operator, "the operator 'EPContext' of 'com.microsoft'"),
        (lambda m: m.functions.add(name='f', domain='x'), 'functions'),
        (lambda m: m.graph.input.add(name='more'), "does not take 'image' alone"),
        (lambda m: m.metadata_props.pop(), "no metadata 'dsr_nss'"),
    ],
)
def test_what_is_never_run_is_refused(tmp_path, change, message):
    model = onnx_model()
    change(model)
    file = tmp_path / 'a.onnx'
    file.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=message):
        read_onnx(file)


def test_damage_is_named(tmp_path):
    file = write_onnx(tmp_path / 'a.onnx')
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match='damaged or no ONNX file'):
        read_onnx(file)


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(onnx_files, 'importlib', type('', (), dict(import_module=absent)))
    with pytest.raises(ConfigError, match=r"need the package onnx: `pip install -e '.\[export\]'`"):
        read_onnx(tmp_path / 'a.onnx')
    assert importlib.import_module('onnx') is onnx
