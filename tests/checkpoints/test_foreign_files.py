"""What published training checkpoints hold beside weights, and files that are made to harm."""

import argparse
import collections
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dsr_nss.checkpoints.allowed_globals import ATTRIBUTE_DICTS, CALLBACKS, is_allowed
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.errors import CheckpointError
from tests.two_faced import two_faced


class Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ['EVIL_FOLDER'],))


@pytest.fixture
def evil_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('EVIL_FOLDER', str(tmp_path / 'evil'))
    return tmp_path / 'evil'


def foreign_class(monkeypatch, full_name, base=object):
    """A class that can be pickled as if its library were installed."""
    module_name, _, name = full_name.rpartition('.')
    made = type(name, (base,), {'__module__': module_name})
    module = types.ModuleType(module_name)
    setattr(module, name, made)
    parts = module_name.split('.')
    for i in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, '.'.join(parts[:i]), types.ModuleType('.'.join(parts[:i])))
    monkeypatch.setitem(sys.modules, module_name, module)
    return made


# --- what real files hold -------------------------------------------------------------------------


@pytest.mark.parametrize('name', ATTRIBUTE_DICTS)
def test_attribute_dicts_become_dicts(tmp_path, monkeypatch, name):
    kind = foreign_class(monkeypatch, name, dict)
    torch.save({'w': torch.ones(2), 'hyper_parameters': kind(lr=0.1)}, tmp_path / 'a.ckpt')
    monkeypatch.undo()
    content = load_checkpoint_file(tmp_path / 'a.ckpt')
    assert content['hyper_parameters'] == {'lr': 0.1}
    assert type(content['hyper_parameters']) is collections.OrderedDict


@pytest.mark.parametrize('name', CALLBACKS)
def test_callbacks_as_keys_become_labels(tmp_path, monkeypatch, name):
    kind = foreign_class(monkeypatch, name)
    states = {kind: {'best_model_score': torch.tensor(0.5), 'best_model_path': 'x.ckpt'}}
    torch.save({'w': torch.ones(2), 'callbacks': states}, tmp_path / 'a.ckpt')
    monkeypatch.undo()
    (state,) = load_checkpoint_file(tmp_path / 'a.ckpt')['callbacks'].values()
    assert state['best_model_path'] == 'x.ckpt'


def test_other_contents_of_training_files(tmp_path):
    torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))])
    optimizer.param_groups[0]['params'][0].sum().backward()
    optimizer.step()
    saved = {
        'state_dict': collections.OrderedDict(w=torch.ones(2)),
        'optimizer_states': [optimizer.state_dict()],
        'args': argparse.Namespace(lr=0.1, root=Path('/data')),
        'numbers': [np.float64(1.5), np.arange(3), np.dtype('float32'), torch.float16],
        'sizes': [torch.Size([1, 2]), torch.device('cpu'), slice(1, 2), {1, 2}, b'bytes', 2**70],
        'meta': dict(CLASSES=('road', 'sky'), config='model = dict()', hook_msgs={}),
    }
    torch.save(saved, tmp_path / 'a.ckpt')
    content = load_checkpoint_file(tmp_path / 'a.ckpt')
    assert vars(content['args'])['lr'] == 0.1
    assert str(vars(content['args'])['root']) == '/data'
    assert content['sizes'] == saved['sizes']
    assert content['numbers'][0] == 1.5
    assert content['optimizer_states'][0]['state'][0]['step'] == 1


def test_safetensors(tmp_path):
    save_file({'w': torch.arange(3.0)}, tmp_path / 'a.safetensors')
    assert load_checkpoint_file(tmp_path / 'a.safetensors')['w'].tolist() == [0, 1, 2]


def test_old_format(tmp_path):
    torch.save({'w': torch.arange(3.0)}, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    assert load_checkpoint_file(tmp_path / 'a.pth')['w'].tolist() == [0, 1, 2]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_bare_pickles_are_named_and_not_run(tmp_path, evil_folder, protocol):
    (tmp_path / 'a.pth').write_bytes(pickle.dumps({'a': Evil()}, protocol=protocol))
    with pytest.raises(CheckpointError, match=r'holds (posix|os)\.mkdir, .* refused'):
        load_checkpoint_file(tmp_path / 'a.pth')
    assert not evil_folder.exists()


@pytest.mark.parametrize('protocol', [2, 4])
def test_pickles_in_archives_are_named_and_not_run(tmp_path, evil_folder, protocol):
    torch.save({'a': Evil()}, tmp_path / 'a.pth', pickle_protocol=protocol)
    with pytest.raises(CheckpointError, match=r'holds (posix|os)\.mkdir, .* refused'):
        load_checkpoint_file(tmp_path / 'a.pth')
    assert not evil_folder.exists()


@pytest.mark.parametrize(
    'payload',
    [b'cbuiltins\neval\n(S"1/0"\ntR.', b'cbuiltins\nexec\n(S"1/0"\ntR.', b'cnumpy\nload\n.'],
)
def test_functions_of_builtins_and_libraries(tmp_path, payload):
    (tmp_path / 'a.pth').write_bytes(payload)
    with pytest.raises(CheckpointError, match=r'eval|exec|numpy\.load'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_a_class_that_is_not_on_the_list(tmp_path, monkeypatch):
    kind = foreign_class(monkeypatch, 'pytorch_lightning.trainer.Trainer')
    torch.save({'w': torch.ones(2), 'trainer': kind()}, tmp_path / 'a.ckpt')
    with pytest.raises(CheckpointError, match=r'holds pytorch_lightning\.trainer\.Trainer'):
        load_checkpoint_file(tmp_path / 'a.ckpt')


def test_compressed_archive(tmp_path):
    """100 MB of zeros in 100 kB."""
    torch.save({'w': torch.zeros(2)}, tmp_path / 'plain.pth')
    with zipfile.ZipFile(tmp_path / 'bomb.pth', 'w', zipfile.ZIP_DEFLATED) as bomb:
        with zipfile.ZipFile(tmp_path / 'plain.pth') as plain:
            for name in plain.namelist():
                content = bytes(100_000_000) if name.endswith('data/0') else plain.read(name)
                bomb.writestr(name, content)
    assert (tmp_path / 'bomb.pth').stat().st_size < 1_000_000
    with pytest.raises(CheckpointError, match=r'bomb.pth claims to hold 1\d{8} bytes in a file of'):
        load_checkpoint_file(tmp_path / 'bomb.pth')


def test_header_that_claims_too_much(tmp_path):
    """Every entry of the central directory claims 2 GiB."""
    path = tmp_path / 'bomb.pth'
    torch.save({'w': torch.zeros(2)}, path)
    data = bytearray(path.read_bytes())
    start = 0
    while (start := data.find(b'PK\x01\x02', start)) >= 0:
        struct.pack_into('<II', data, start + 20, 2**31, 2**31)
        start += 4
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match='claims to hold .* refused'):
        load_checkpoint_file(path)


def test_compressed_but_honest_archive(tmp_path):
    torch.save({'w': torch.zeros(2)}, tmp_path / 'plain.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth', 'w', zipfile.ZIP_DEFLATED) as packed:
        packed.write(tmp_path / 'plain.pth', 'noise')
        packed.writestr('noise/data.pkl', os.urandom(10_000), zipfile.ZIP_STORED)
        packed.comment = bytes(50_000)
    with pytest.raises(CheckpointError, match="compressed entry .'noise'., which torch never"):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_a_few_numbers_that_pose_as_many(tmp_path):
    huge = torch.zeros(1).expand(2**20, 2**20)
    torch.save({'state_dict': {'w': huge}}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'state_dict\.w claims 1099511627776 elements but'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_tensors_without_values(tmp_path):
    torch.save({'w': torch.zeros(3, device='meta')}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='w claims 3 elements but the file holds 0'):
        load_checkpoint_file(tmp_path / 'a.pth')
    torch.save({'w': torch.eye(3).to_sparse()}, tmp_path / 'b.pth')
    with pytest.raises(CheckpointError, match='w is a sparse or quantised tensor'):
        load_checkpoint_file(tmp_path / 'b.pth')


def test_a_config_in_the_place_of_a_checkpoint_is_told(tmp_path):
    """Read as a pickle, its first word would be the name of a class."""
    (tmp_path / 'run.py').write_text("classes = dict(names=('road', 'car'))\nmodel = dict()\n")
    with pytest.raises(CheckpointError, match='run.py is no checkpoint; by its name it is a conf'):
        load_checkpoint_file(tmp_path / 'run.py')


@pytest.mark.filterwarnings('error')
def test_a_program_of_torchscript(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.pt', 'w') as archive:
        for name in ('data.pkl', 'constants.pkl', 'code/__torch__.py'):
            archive.writestr(f'a/{name}', pickle.dumps(()))
    with pytest.raises(CheckpointError, match='is a TorchScript archive, which is a program'):
        load_checkpoint_file(tmp_path / 'a.pt')


@pytest.mark.parametrize('start', ['version https://git-lfs', '<!DOCTYPE html>', 'epoch,loss\n1,2'])
def test_text_files_are_quoted(tmp_path, start):
    (tmp_path / 'a.pth').write_text(f'{start} and more\n')
    with pytest.raises(CheckpointError, match='a text file that begins with') as error:
        load_checkpoint_file(tmp_path / 'a.pth')
    assert start.splitlines()[0] in str(error.value)


def test_zip_without_a_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.pth', 'w') as archive:
        archive.writestr('readme.txt', 'nothing')
    with pytest.raises(CheckpointError, match='a.pth is no checkpoint that torch can read'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_random_bytes_never_escape(tmp_path):
    """Whatever stands in a file, the answer is an explained error."""
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    torch.save({'w': torch.ones(4), 'n': [1, 'two', None]}, stream)
    whole = stream.getvalue()
    for i in range(60):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 3):
            damaged[position] = rng.integers(256)
        (tmp_path / 'a.pth').write_bytes(bytes(damaged))
        try:
            assert isinstance(load_checkpoint_file(tmp_path / 'a.pth'), dict), i
        except CheckpointError as error:
            assert 'a.pth' in str(error)


def test_a_compressed_archive_behind_an_honest_list(tmp_path):
    """torch would unpack what the list that is checked does not name."""
    kinds = (zipfile.ZIP_STORED, [1]), (zipfile.ZIP_DEFLATED, 'a' * 2_000_000)
    archives = []
    for kind, content in kinds:
        with zipfile.ZipFile(stream := io.BytesIO(), 'w', kind) as archive:
            archive.writestr('a/data.pkl', pickle.dumps({'w': content}, 2))
            archive.writestr('a/version', '3\n')
        archives.append(stream.getvalue())
    (tmp_path / 'a.pth').write_bytes(two_faced(*archives))
    with pytest.raises(CheckpointError, match='has two lists of entries'):
        load_checkpoint_file(tmp_path / 'a.pth')


# --- what a pickle of allowed types can ask for ---------------------------------------------------


class Call:
    """Pickled as a call of a function, and what is then set in its result."""

    def __init__(self, function, arguments, *state):
        self.reduced = (function, arguments, *state)

    def __reduce__(self):
        return self.reduced


RECONSTRUCT = np.ones(1).__reduce__()[0]
OBJECTS = Call(np.dtype, ('O',))
#: Numbers that numpy would take for the addresses of objects when the array goes.
ADDRESSES = Call(np.dtype, ('f8', False, True), (3, '<', (OBJECTS, (1,)), None, None, 8, 8, 1))


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (OBJECTS, 'numpy.dtype'),
        (Call(np.dtype, ([('a', 'O')],)), 'numpy.dtype'),
        (Call(np.ndarray, ((3,), 'O')), 'numpy.ndarray.called'),
        (Call(np.ndarray, ((2**33,), 'b')), 'numpy.ndarray.called'),
        (Call(torch.Tensor, (2**31,)), 'claims 2147483648 elements'),
    ],
)
def test_types_and_memory_that_the_file_does_not_hold(tmp_path, value, message):
    torch.save({'w': torch.ones(1), 'x': [value]}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_a_number_type_keeps_its_size_and_kind(tmp_path):
    state = (1, (1,), ADDRESSES, False, b'\x41' * 8)
    torch.save({'x': Call(RECONSTRUCT, (np.ndarray, (0,), b'b'), state)}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='numpy.dtype'):
        load_checkpoint_file(tmp_path / 'a.pth')
    ADDRESSES.reduced = (*ADDRESSES.reduced[:2], (3, '<', None, ('a',), {}, 800, 8, 1))
    torch.save({'x': Call(RECONSTRUCT, (np.ndarray, (0,), b'b'), state)}, tmp_path / 'a.pth')
    (array,) = load_checkpoint_file(tmp_path / 'a.pth').values()
    assert array.dtype is np.dtype('f8') and not array.dtype.hasobject


def test_a_dict_that_is_none(tmp_path):
    """A pickle may set attributes of an ordered dict, its methods among them."""
    state = Call(collections.OrderedDict, ([('w', torch.ones(1))],), {'items': 3})
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='no checkpoint that torch can read'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_a_message_leaves_out_what_is_allowed_and_no_name_that_begins_so():
    for name in ('builtins.set', '_codecs.encode', 'torch.FloatStorage', 'numpy.dtype'):
        assert is_allowed(name)
    for name in ('builtins.setattr', '_codecs.encoder', 'numpy.dtypes', 'torchvision.models'):
        assert not is_allowed(name)


def test_containers_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr('dsr_nss.checkpoints.safe_load.MOST_ENTRIES', 1000)
    doubled, deep, endless = [1], [], {}
    endless['a'] = endless
    for _ in range(40):
        doubled = [doubled, doubled]
    for _ in range(200):
        deep = [deep]
    for content in (doubled, deep, endless):
        torch.save({'w': torch.ones(1), 'x': content}, tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match='nested more than 50 deep'):
            load_checkpoint_file(tmp_path / 'a.pth')
