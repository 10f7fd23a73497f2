"""Damaged checkpoints, and checkpoints whose contents are odd: each is refused in one sentence."""

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file
from torch import nn

from dsr_nss.checkpoints.reading import load_strictly, read_state_dict
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.engine.runner import load_all, load_start
from dsr_nss.errors import CheckpointError
from dsr_nss.inference.load import load_model
from tests.tiny_segmentor import CONFIG, make_segmentor

FLIPS, HOLES = 200, 100


def training_state() -> dict:
    """As a run saves it: weights, moments, settings."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.Conv2d(32, 32, 3))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(1, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    return dict(
        meta=dict(iter=1, epoch=0, seed=0, cfg='model = dict()\n' * 100),
        state_dict=model.state_dict(),
        optimizer=optimizer.state_dict(),
    )


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp('whole') / 'iter_1.pth'
    torch.save(training_state(), path)
    return path.read_bytes()


def contents(data: bytes) -> list[range]:
    """Where the contents of the entries lie."""
    found = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset
            name, extra = data[start + 26 : start + 28], data[start + 28 : start + 30]
            start += 30 + int.from_bytes(name, 'little') + int.from_bytes(extra, 'little')
            found.append(range(start, start + entry.file_size))
    return found


def mutations(data: bytes) -> Iterator[tuple[str, range, bytes]]:
    """Bit flips and holes of zeros at random places: kind, place, damaged file."""
    rng = np.random.default_rng(0)
    for _ in range(FLIPS):
        place = int(rng.integers(len(data)))
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        yield 'flip', range(place, place + 1), bytes(damaged)
    for _ in range(HOLES):
        length = int(rng.choice([1, 16, 512, 4096]))
        place = int(rng.integers(len(data) - length))
        damaged = bytearray(data)
        damaged[place : place + length] = bytes(length)
        if bytes(damaged) != data:
            yield 'hole', range(place, place + length), bytes(damaged)


def as_bytes(content: dict) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def test_every_flip_and_hole_is_found_or_changes_nothing(tmp_path, whole):
    """Between the entries lies padding, which nothing reads."""
    path = tmp_path / 'a.pth'
    path.write_bytes(whole)
    expected, inside = as_bytes(load_checkpoint_file(path)), contents(whole)
    count: Counter[tuple[str, str]] = Counter()
    for kind, place, damaged in mutations(whole):
        path.write_bytes(damaged)
        weighty = any(place.start < r.stop and r.start < place.stop for r in inside)
        weighty &= any(whole[i] != damaged[i] for r in inside for i in place if i in r)
        try:
            loaded = load_checkpoint_file(path)
        except CheckpointError as error:
            assert 'a.pth' in str(error)
            count[kind, 'content' if weighty else 'padding or headers, refused'] += 1
            continue
        assert not weighty, f'{kind} at {place} was not found'
        assert as_bytes(loaded) == expected
        count[kind, 'padding or headers, harmless'] += 1
    print(dict(count))
    assert count['flip', 'content'] > 120 and count['hole', 'content'] > 50


def test_the_message_names_the_entry(tmp_path, whole):
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        names = [entry.filename for entry in archive.infolist()]
    for name, place in zip(names, contents(whole), strict=True):
        damaged = bytearray(whole)
        damaged[place.start] ^= 1
        (tmp_path / 'a.pth').write_bytes(bytes(damaged))
        with pytest.raises(CheckpointError, match=rf"a.pth is damaged: its entry '{name}' is not"):
            load_checkpoint_file(tmp_path / 'a.pth')


def test_an_entry_that_is_there_twice(tmp_path, whole):
    """Readers differ in which of the two they take."""
    (tmp_path / 'a.pth').write_bytes(whole)
    with zipfile.ZipFile(tmp_path / 'a.pth') as archive:
        name = archive.namelist()[-1]
    with zipfile.ZipFile(tmp_path / 'a.pth', 'a') as archive, pytest.warns(UserWarning):
        archive.writestr(name, b'other')
    with pytest.raises(CheckpointError, match=f"damaged: its entry '{name}'"):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_mmengines_own_loading_compares_checksums_too(tmp_path, whole):
    damaged = bytearray(whole)
    damaged[contents(whole)[-4].start + 5] ^= 4
    (tmp_path / 'a.pth').write_bytes(bytes(damaged))
    with pytest.raises(CheckpointError, match='is damaged: its entry'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), map_location='cpu')


# --- odd contents ---------------------------------------------------------------------------------

WEIGHT = 'decode_head.conv_seg.weight'


@pytest.fixture(scope='module')
def segmentor(tmp_path_factory):
    """A config and the weights of its network."""
    path = tmp_path_factory.mktemp('segmentor') / 'config.py'
    path.write_text(CONFIG)
    return path, make_segmentor(path).state_dict()


@pytest.fixture
def uses(segmentor, tmp_path):
    """Predicts with, converts, starts from and resumes odd weights; what each of them says."""
    config, state = segmentor

    def run(change) -> list[str]:
        content = dict(state_dict=dict(state), meta=dict(iter=1))
        change(content)
        path: Path = tmp_path / 'odd.pth'
        torch.save(content, path)
        model = make_segmentor(config)
        said = []
        for use in (
            lambda: load_model(config, path),
            lambda: load_strictly(model, read_state_dict(path), path),
            lambda: load_all(model, read_state_dict(path), str(path)),
            lambda: load_start(model, read_state_dict(path), str(path)),
        ):
            with pytest.raises(CheckpointError) as error:
                use()
            said.append(str(error.value))
        try:
            result = convert_checkpoint(path, tmp_path / 'out.pth', config=config)
            assert result.written is None
        except CheckpointError as error:
            said.append(str(error))
        assert not (tmp_path / 'out.pth').exists()
        assert all('odd.pth' in text and '\n' not in text for text in said)
        return said

    return run


@pytest.mark.parametrize(
    'value, what',
    [
        (torch.full((19, 4, 1, 1), float('nan')), '1 with NaN or infinite values'),
        (torch.full((19, 4, 1, 1), float('-inf')), '1 with NaN or infinite values'),
        (torch.ones(19, 4, 1, 1, dtype=torch.int64), f'{WEIGHT} whole for floating'),
        (torch.ones(19, 4, 1, 1, dtype=torch.uint8), f'{WEIGHT} whole for floating'),
        (torch.ones(19, 4, 1, 1, dtype=torch.bool), f'{WEIGHT} boolean for floating'),
        (torch.ones(19, 4, 1, 1, dtype=torch.complex64), f'{WEIGHT} complex for floating'),
        (torch.ones(19, 4, 1), f'{WEIGHT} (19, 4, 1)'),
        ([[1.0] * 4] * 19, '1 missing'),
    ],
)  # fmt: skip
def test_odd_weights(uses, value, what):
    for text in uses(lambda content: content['state_dict'].update({WEIGHT: value})):
        assert what in text


def test_floating_counters(uses):
    name = 'backbone.encoder.0.0.convs.0.bn.num_batches_tracked'
    for text in uses(lambda content: content['state_dict'].update({name: torch.ones(())})):
        assert f'{name} floating for whole' in text


@pytest.mark.parametrize('key', [7, 1.5, True, None, (1, 2), b'name'])
def test_names_that_are_no_text(uses, key):
    for text in uses(lambda content: content['state_dict'].update({key: torch.ones(1)})):
        assert f'odd.pth names a tensor {key!r}, which no network does' in text


@pytest.mark.parametrize('entry', ['state_dict', 'meta'])
@pytest.mark.parametrize('value', [[torch.ones(1)], 7, 'text', torch.ones(3), None, (1, 2)])
def test_parts_of_another_type(uses, entry, value):
    for text in uses(lambda content: content.update({entry: value})):
        assert f'odd.pth: its {entry} is a {type(value).__name__}, not a dict by name' in text


def test_other_precisions_are_no_odd_weights(segmentor, tmp_path):
    config, state = segmentor
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.float8_e5m2):
        half = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        torch.save(dict(state_dict=half), tmp_path / 'a.pth')
        assert load_model(config, tmp_path / 'a.pth')
    save_file(state, tmp_path / 'a.safetensors')
    assert load_model(config, tmp_path / 'a.safetensors')
