"""Files of torch.export made to harm: torch would run each of them, here none is given to torch."""

import io
import json
import os
import pickle
import zipfile

import pytest
import torch

import dsr_nss
from dsr_nss.checkpoints.pt2_files import read_pt2
from dsr_nss.errors import CheckpointError
from tests.exported_networks import facts, write_pt2
from tests.two_faced import two_faced

GRAPH = 'models/model.json'


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    return write_pt2(tmp_path_factory.mktemp('pt2') / 'a.pt2')


@pytest.fixture
def change(written, tmp_path):
    """The file with some entries replaced (by bytes, or by what a function makes of the JSON)."""

    def call(**entries):
        changed = tmp_path / 'changed.pt2'
        entries = {
            name.replace('__', '/').replace('_json', '.json'): e for name, e in entries.items()
        }
        with zipfile.ZipFile(written) as old, zipfile.ZipFile(changed, 'w') as new:
            for info in old.infolist():
                name, data = info.filename.split('/', 1)[1], old.read(info)
                entry = entries.pop(name, None)
                if callable(entry):
                    content = json.loads(data)
                    entry(content)
                    data = json.dumps(content).encode()
                elif entry is not None:
                    data = entry
                new.writestr(f'a/{name}', data)
            for name, entry in entries.items():
                new.writestr(f'a/{name}', entry)
        return changed

    return call


class Canary:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_of_this_package_is_read_and_runs(written, change):
    assert read_pt2(written).facts == facts(size=(64, 64)).text() == read_pt2(change()).facts
    model = dsr_nss.load(change(), device='cpu')
    image = torch.zeros(3, 64, 64)
    image[1, :20] = 1
    labels = model.predict(image).labels
    assert (labels[:20] == 1).all() and model.names[1] == 'road'


def first_size(code):
    def change(content):
        values = content['graph_module']['graph']['tensor_values']
        name = next(iter(values))
        values[name]['sizes'][0] = dict(as_expr=dict(expr_str=code, hint=dict(as_int=1)))

    return change


def first_node(**fields):
    return lambda content: content['graph_module']['graph']['nodes'][0].update(fields)


def argument(**value):
    def change(content):
        content['graph_module']['graph']['nodes'][0]['inputs'][0]['arg'] = value

    return change


def top(**fields):
    return lambda content: content.update(fields)


@pytest.mark.parametrize(
    ('graph', 'message'),
    [
        (first_size("__import__('os').mkdir('CANARY')"), "'expr_str', which is not on the list"),
        (first_size("Symbol('s0', integer=True).__class__"), 'expr_str'),
        (first_size('Pow(Integer(9), Integer(9))'), 'expr_str'),
        (top(guards_code=["__import__('os').mkdir('CANARY')"]), "the field 'guards_code'"),
        (first_node(target='torch.os.mkdir'), "'torch.os.mkdir' as 'target'"),
        (first_node(target='torch.ops.aten.from_file.default'), "'target'"),
        (first_node(target='torch.ops.aten.conv2d.default.__class__'), "'target'"),
        (first_node(target='math.__loader__'), "'target'"),
        (first_node(metadata=dict(from_node='[]')), "the field 'metadata'"),
        (argument(as_string='/etc/passwd'), "'as_string'"),
        (argument(as_graph=dict(name='g', graph={})), "the field 'as_graph'"),
        (top(verifiers=['a b']), "'verifiers'"),
    ],
)
def test_graphs_that_torch_would_evaluate_are_refused(
    change, tmp_path, monkeypatch, graph, message
):
    monkeypatch.chdir(tmp_path)
    file = change(models__model_json=graph)
    with pytest.raises(CheckpointError, match=message):
        dsr_nss.load(file, device='cpu')
    assert not (tmp_path / 'CANARY').exists()


def test_the_canary_would_sing(change, tmp_path, monkeypatch):
    """torch itself runs the first of the graphs above: this is what the list is for."""
    monkeypatch.chdir(tmp_path)
    file = change(models__model_json=first_size("__import__('os').mkdir('CANARY')"))
    with pytest.raises(Exception):  # noqa: B017  it fails behind the harm, in any way
        torch.export.load(file)
    assert (tmp_path / 'CANARY').exists()


def pickled(config):
    next(iter(config['config'].values()))['use_pickle'] = True


def elsewhere(config):
    next(iter(config['config'].values()))['path_name'] = 'opaque_obj_0'


def huge(config):
    weight = next(iter(config['config'].values()))
    weight['tensor_meta']['sizes'] = [dict(as_int=10**4)] * 2
    config['config'] |= {f'more{i}': weight for i in range(5)}


def odd(config):
    next(iter(config['config'].values()))['tensor_meta']['sizes'] = [dict(as_int=-1)]


def test_pickles_libraries_and_huge_weights_are_refused(change, tmp_path):
    canary = tmp_path / 'canary'
    stream = io.BytesIO()
    torch.save((Canary(canary),), stream)
    weights = 'data__weights__model_weights_config_json'
    for entries, message in (
        ({'data__sample_inputs__model.pt': stream.getvalue()}, 'sample inputs'),
        ({'data__constants__opaque_obj_0': pickle.dumps(Canary(canary))}, 'opaque_obj_0'),
        ({'data__weights__model.pt': stream.getvalue()}, 'weights/model.pt'),
        ({'data__aotinductor__model__a.so': b'\x7fELF'}, 'aotinductor'),
        ({weights: pickled}, 'is a pickle or lies elsewhere'),
        ({weights: elsewhere}, 'is a pickle or lies elsewhere'),
        ({weights: huge}, 'weights have 600,000,000 values'),
        ({weights: odd}, 'a weight of the sizes'),
        ({weights: lambda config: config.clear()}, 'KeyError'),
    ):
        with pytest.raises(CheckpointError, match=message):
            read_pt2(change(**entries))
    assert not canary.exists()


def test_a_file_with_two_lists_of_entries_gets_no_code_to_torch(change, tmp_path, monkeypatch):
    """Python reads the list before the end of a zip file, torch the one that the end points to."""
    monkeypatch.chdir(tmp_path)
    good = change().read_bytes()
    bad = change(models__model_json=first_size("__import__('os').mkdir('CANARY')")).read_bytes()
    (tmp_path / 'two.pt2').write_bytes(two_faced(good, bad))
    with pytest.raises(CheckpointError, match='two lists of entries'):
        read_pt2(tmp_path / 'two.pt2')
    monkeypatch.setattr('dsr_nss.checkpoints.pt2_files.archive_problem', lambda path: None)
    torch.export.load(read_pt2(tmp_path / 'two.pt2').content)  # what was checked, in any case
    assert not (tmp_path / 'CANARY').exists()
    with pytest.raises(Exception):  # noqa: B017  as above
        torch.export.load(str(tmp_path / 'two.pt2'))
    assert (tmp_path / 'CANARY').exists()


def test_damage_and_other_files_are_named(written, tmp_path):
    file = tmp_path / 'a.pt2'
    file.write_bytes(written.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match='cut off'):
        read_pt2(file)
    file.write_bytes(b'no archive')
    with pytest.raises(CheckpointError, match='no file of torch.export.save'):
        read_pt2(file)
    torch.save(dict(a=torch.zeros(1)), file)
    with pytest.raises(CheckpointError, match='which no export of this package has'):
        read_pt2(file)
