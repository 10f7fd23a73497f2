"""`dsr_nss.load(...)` and `predict`: every form of an image gives what the command line writes."""

import io

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import dsr_nss
from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.datasets.images import read_image
from dsr_nss.errors import CheckpointError, ConfigError, DataError
from dsr_nss.inference.predictor import _free_name
from tests.tiny_segmentor import make_segmentor


@pytest.fixture
def run(tmp_path, config_file):
    """A checkpoint that carries its config, as the runner writes it."""
    path = tmp_path / 'run' / 'iter_20.pth'
    path.parent.mkdir()
    meta = dict(iter=20, cfg=Config.fromfile(str(config_file)).pretty_text)
    torch.save(dict(meta=meta, state_dict=make_segmentor(config_file).state_dict()), path)
    return path


@pytest.fixture
def model(run):
    return dsr_nss.load(run, device='cpu')


def test_files_give_bit_by_bit_what_the_command_line_writes(
    model, predict, data_root, tmp_path, checkpoint
):
    predict(data_root / 'images', tmp_path / 'out', overlays=True)
    for name in ('a/0', 'b/0', 'b/1'):
        result = model.predict(data_root / f'images/{name}.jpg')
        result.save(tmp_path / 'saved', name)
        for folder in ('labelTrainIds', 'color', 'overlay'):
            written = (tmp_path / f'out/{folder}/{name}.png').read_bytes()
            assert (tmp_path / f'saved/{folder}/{name}.png').read_bytes() == written
        assert result.names == CLASSES and result.name == name[2:]
        ids = np.array(Image.open(tmp_path / f'out/labelTrainIds/{name}.png'))
        assert np.array_equal(result.labels, ids) and result.labels.dtype == np.uint8
        assert result.confidence.shape == ids.shape and result.confidence.dtype == np.float32
        assert 1 / 19 <= result.confidence.min() <= result.confidence.max() <= 1
        shares = result.shares()
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        first = next(iter(shares))
        assert shares[first] == np.mean(ids == CLASSES.index(first))


def test_no_result_of_a_list_replaces_another(model, data_root, tmp_path):
    images = [read_image(data_root / 'images/a/0.jpg')] * 3
    files = [data_root / f'images/{name}/0.jpg' for name in 'ab']
    for results in (model.predict(images), model.predict(iter(files))):
        for result in results:
            result.save(tmp_path)
    saved = {path.stem for path in (tmp_path / 'labelTrainIds').iterdir()}
    assert saved == {'image', 'image_2', 'image_3', '0', '0_2'}


def test_confidence_is_the_probability_of_the_predicted_class(model, data_root):
    pixels = read_image(data_root / 'images/a/0.jpg')
    data = model.prepare(pixels, 'it')
    network = model.model.data_preprocessor(
        dict(inputs=[data['inputs']], data_samples=[data['data_samples']]), False
    )
    with torch.no_grad():  # 24x40 needs no padding
        probability = model.model.encode_decode(
            network['inputs'], [dict(img_shape=(24, 40))]
        ).softmax(1)[0]
    result = model.predict(pixels)
    assert np.array_equal(result.labels, probability.argmax(0).numpy())
    np.testing.assert_allclose(result.confidence, probability.max(0).values.numpy(), rtol=1e-5)


def test_every_form_of_an_image_gives_the_same(model, data_root):
    path = data_root / 'images/b/0.jpg'
    pixels = read_image(path)
    expected = model.predict(path)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    forms = [
        str(path),
        Image.open(path),
        pixels,
        tensor,
        tensor.float() / 255,
        tensor.double() / 255,
    ]
    for form in forms:
        result = model.predict(form)
        assert np.array_equal(result.labels, expected.labels), type(form)
        assert np.array_equal(result.confidence, expected.confidence)
        assert np.array_equal(result.image, pixels)


def test_a_turned_photograph_is_predicted_upright(model, data_root):
    image = Image.open(data_root / 'images/a/0.jpg')
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, 'PNG', exif=exif)
    result = model.predict(Image.open(file))
    upright = np.rot90(np.array(image), -1)
    assert np.array_equal(result.image, upright)
    assert result.labels.shape == (40, 24)


def test_lists_and_iterators_keep_their_order_and_share_batches(model, data_root, seen):
    paths = [data_root / f'images/{name}.jpg' for name in ('b/1', 'a/0', 'b/0')]
    alone = [model.predict(path) for path in paths]
    seen.clear()
    results = model.predict(paths, batch_size=3)
    assert isinstance(results, list) and seen == [2, 1]  # two of one size, one of another
    for one, other in zip(results, alone, strict=True):
        np.testing.assert_allclose(one.confidence, other.confidence, rtol=1e-4)
    seen.clear()
    stream = model.predict(iter(paths))
    assert seen == [] and next(stream).name == '1' and seen == [1]  # nothing is read ahead
    assert [result.name for result in stream] == ['0', '0_2']  # of two folders


@pytest.mark.parametrize(
    ('image', 'error', 'message'),
    [
        (np.zeros((4, 4), np.uint8), ValueError, r'\(H, W, 3\) uint8 RGB, got \(4, 4\) uint8'),
        (np.zeros((4, 4, 3)), ValueError, 'float64'),
        (np.zeros((0, 4, 3), np.uint8), ValueError, r'\(0, 4, 3\)'),
        (torch.zeros(1, 3, 4, 4), ValueError, r'\(3, H, W\) RGB, got \(1, 3, 4, 4\)'),
        (torch.full((3, 4, 4), 2.0), ValueError, 'in 0..1, got 2..2'),
        (torch.full((3, 4, 4), float('nan')), ValueError, 'in 0..1'),
        (torch.zeros(3, 4, 4, dtype=torch.int64), ValueError, 'int64'),
        (Image.new('RGBA', (4, 4)), ValueError, 'mode RGBA'),
        ([None], TypeError, 'NoneType'),
        (None, TypeError, 'got NoneType'),
        (b'night.jpg', TypeError, 'got bytes'),
        ('nowhere.jpg', FileNotFoundError, 'nowhere.jpg'),
    ],
)
def test_what_is_no_image_is_named(model, image, error, message):
    with pytest.raises(error, match=message):
        model.predict(image)


def test_a_result_keeps_its_image_when_a_camera_writes_over_it(model):
    buffer = np.full((32, 48, 3), 7, np.uint8)
    result = model.predict(buffer)
    buffer[:] = 0
    assert (result.image == 7).all()


def test_a_folder_stands_for_its_newest_checkpoint(run, config_file):
    (run.parent / 'iter_9.pth').write_bytes(b'not read')
    (run.parent / 'iter_\u00b2.pth').write_bytes(b'no number')
    assert dsr_nss.load(run.parent, device='cpu').names == CLASSES
    (run.parent / 'iter_\u00b2.pth').unlink()
    run.unlink()
    (run.parent / 'iter_9.pth').rename(run.parent / 'a.pth')
    (run.parent / 'b.safetensors').write_bytes(b'')
    with pytest.raises(CheckpointError, match='2 weight files'):
        dsr_nss.load(run.parent)
    with pytest.raises(FileNotFoundError, match='addresses are not fetched'):
        dsr_nss.load('https://example.org/a.pth')


def test_a_config_of_ones_own(checkpoint, config_file, data_root):
    with pytest.raises(ConfigError, match='carries no config'):
        dsr_nss.load(checkpoint, device='cpu')
    config = config_file.read_text() + (
        "test_pipeline = [dict(type='LoadImageFromFile'), "
        "dict(type='Resize', scale_factor=0.5), dict(type='PackSegInputs')]\n"
    )
    config_file.write_text(config)
    model = dsr_nss.load(checkpoint, config_file, device='cpu')
    pixels = read_image(data_root / 'images/a/0.jpg')
    assert model.prepare(pixels, 'it')['inputs'].shape == (3, 12, 20)
    assert model.predict(pixels).labels.shape == (24, 40)
    assert [tuple(colour) for colour in model.palette] == list(PALETTE)


def test_what_a_foreign_config_names_is_not_built(run, tmp_path):
    content = torch.load(run, weights_only=True)
    text = content['meta']['cfg']
    canary = tmp_path / 'canary'
    for bad in (
        text.replace("type='UNet'", "type='TIMMBackbone', pretrained=True"),
        text + "\ntest_pipeline = [dict(type='LoadBiomedicalImageFromFile')]\n",
        text + f"\nopen({str(canary)!r}, 'w')\n",
    ):
        assert bad != text
        content['meta']['cfg'] = bad
        torch.save(content, run)
        with pytest.raises(ConfigError, match='refused|plain data'):
            dsr_nss.load(run)
    assert not canary.exists()


def test_an_unknown_precision_is_named(run):
    with pytest.raises(ConfigError, match="amp must be one of .*'fp8'"):
        dsr_nss.load(run, amp='fp8', device='cpu')


def test_a_pipeline_that_cannot_take_an_image_names_it(model):
    model._transforms.transforms.insert(0, lambda data: 1 / 0)
    with pytest.raises(DataError, match='image: the test pipeline .* 4x5 .ZeroDivisionError'):
        model.predict(np.zeros((4, 5, 3), np.uint8))


def test_names_of_several_results_differ():
    taken = set()
    for name in ('a', 'a', 'a_2', 'a'):
        taken.add(_free_name(name, taken))
    assert taken == {'a', 'a_2', 'a_2_2', 'a_3'}
