"""Pickles that torch's restricted reader accepts, and that must not be read all the same."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from dsr_nss.checkpoints.safe_load import DEEPEST, load_checkpoint_file
from dsr_nss.errors import CheckpointError


def text(value):
    return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def name(module, attribute):
    return f'c{module}\n{attribute}\n'.encode()


def number(value):
    return b'J' + struct.pack('<i', value)


def items(*parts):
    return b'(' + b''.join(parts) + b't'


def encoded(content, kind='latin1'):
    return name('_codecs', 'encode') + items(content, text(kind)) + b'R'


FLOATS = name('numpy', 'dtype') + items(text('f4'), number(0), number(1)) + b'R'


def filled(values):
    """The state of an array of so many floats."""
    return items(
        number(1), items(number(values)), FLOATS, b'\x89', encoded(text('a' * (4 * values)))
    )


ARRAY = (
    name('numpy._core.multiarray', '_reconstruct')
    + items(name('numpy', 'ndarray'), items(number(0)), text('b'))
    + b'R'
    + b'r\x01\x00\x00\x00'
    + filled(64)
    + b'b'
)
AGAIN = b'j\x01\x00\x00\x00'


@pytest.fixture(params=['zip', 'legacy'])
def load(request, tmp_path):
    """Reads a file whose content is a dict of pickled entries."""

    def run(**entries):
        content = b'\x80\x02}(' + b''.join(text(key) + value for key, value in entries.items())
        content += b'u.'
        if request.param == 'zip':
            with zipfile.ZipFile(tmp_path / 'a.pth', 'w') as file:
                file.writestr('archive/data.pkl', content)
                file.writestr('archive/byteorder', b'little')
                file.writestr('archive/version', b'3\n')
        else:
            old = io.BytesIO()
            torch.save({}, old, _use_new_zipfile_serialization=False)
            old.seek(0)
            before = [pickle.load(old) for _ in range(3)]
            pickles = [pickle.dumps(one, 2) for one in before]
            (tmp_path / 'a.pth').write_bytes(b''.join([*pickles, content, pickle.dumps([], 2)]))
        return load_checkpoint_file(tmp_path / 'a.pth')

    return run


def test_what_is_harmless_is_read(load):
    found = load(a=ARRAY, same=AGAIN, b=encoded(text('abc')), t=items(number(1), text('x')))
    assert found['a'] is found['same'] and found['a'].tolist() == pytest.approx([1.6e7] * 64, 1e20)
    assert found['b'] == b'abc' and found['t'] == (1, 'x')


def test_an_array_is_filled_once(load):
    """A second filling frees the memory that a tensor made of the first one still shows."""
    tensor = (
        name('torch._utils', '_rebuild_device_tensor_from_numpy')
        + items(AGAIN, name('torch', 'float32'), text('cpu'), b'\x89')
        + b'R'
    )
    with pytest.raises(CheckpointError, match='numpy.ndarray.filled_twice.* refused'):
        load(a=ARRAY, w=tensor, z=AGAIN + filled(0) + b'b')


def test_an_array_on_the_memory_of_another_is_none(load):
    shown = name('numpy', 'ndarray') + items(items(number(64)), FLOATS, AGAIN) + b'R'
    with pytest.raises(CheckpointError, match='numpy.ndarray.called.* refused'):
        load(a=ARRAY, w=shown)


@pytest.mark.parametrize('module', ['builtins', '__builtin__'])
def test_memory_without_values(load, module):
    with pytest.raises(CheckpointError, match='asks for memory without values'):
        load(x=name(module, 'bytearray') + items(number(1 << 30)) + b'R')


def test_a_text_that_grows(load):
    content = text('a' * 16)
    for _ in range(24):
        content = encoded(content, 'hex')
    with pytest.raises(CheckpointError, match='in a way that torch never does'):
        load(x=content)


@pytest.mark.parametrize('opening', [b'', name('builtins', 'slice')], ids=['tuple', 'slice'])
def test_depth_that_overruns_the_stack(load, opening):
    """Such a key is hashed, and any of them is freed, by functions that call themselves."""
    close = b'\x85R' if opening else b'\x85'
    key = opening * 200_000 + number(1) + close * 200_000
    with pytest.raises(CheckpointError, match=f'nested more than {DEEPEST} deep'):
        load(x=b'}' + key + number(1) + b's')


def test_arrays_are_written_again_as_arrays(tmp_path):
    """A resumed run saves the log history that it has read."""
    content = dict(history=HistoryBuffer([1.0, 2.0], [1, 1]), array=np.arange(6.0).reshape(2, 3))
    for number in range(2, 4):
        torch.save(content, tmp_path / 'a.pth')
        content = load_checkpoint_file(tmp_path / 'a.pth')
        assert content['history'].data[0].tolist() == [1.0, 2.0, 3.0][:number]
        assert content['array'].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        content['history'].update(3.0)
    with zipfile.ZipFile(tmp_path / 'a.pth') as file:
        (saved,) = [file.read(one) for one in file.namelist() if one.endswith('data.pkl')]
    assert b'dsr_nss' not in saved
