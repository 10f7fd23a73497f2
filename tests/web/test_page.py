"""The page in a real Chromium: what is uploaded gives what `dsr_nss.load(...).predict` says."""

import re
import shutil
import socket
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

import dsr_nss
from dsr_nss.inference.video import read_frames
from dsr_nss.inference.video_file import VideoFile
from tests.exported_networks import write_onnx
from tests.tiny_segmentor import describing_checkpoint

pytest.importorskip('gradio', reason='the extra web is not installed')
playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
from dsr_nss.web.page import Answers, Network, make_page, start  # noqa: E402
from dsr_nss.web.views import VIEWS, pairs  # noqa: E402

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
OPTIONS = (
    '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run',
)  # fmt: skip


@pytest.fixture(scope='module')
def networks(tmp_path_factory, mmseg_scope):
    folder = tmp_path_factory.mktemp('networks')
    return [
        Network(name, dsr_nss.load(describing_checkpoint(folder, seed), device='cpu'))
        for seed, name in enumerate(('before', 'after'))
    ]


@pytest.fixture(scope='module')
def called():
    """Addresses that this process asks for while it serves."""
    addresses = []
    real_connect, real_lookup = socket.socket.connect, socket.getaddrinfo

    def connect(self, address):
        addresses.append(address[0])
        return real_connect(self, address)

    def lookup(host, *args, **options):
        addresses.append(host)
        return real_lookup(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, 'connect', connect)
        patch.setattr(socket, 'getaddrinfo', lookup)
        yield addresses


@pytest.fixture(scope='module')
def addresses(networks, tmp_path_factory, called):
    """Of a page with one network and of one with both; each has an example."""
    folder = tmp_path_factory.mktemp('served')
    example = folder / 'example.png'
    Image.fromarray(pixels(5)).save(example)
    pages = {n: make_page(networks[:n], [example], folder) for n in (1, 2)}
    yield {n: start(page, '127.0.0.1', None) for n, page in pages.items()}
    for page in pages.values():
        page.close(verbose=False)


@pytest.fixture(scope='module')
def browser(addresses):
    if CHROMIUM is None:
        pytest.skip('chromium is not installed')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, addresses):
    """Opens a page; afterwards it has asked nobody else for anything."""
    asked, opened = set(), []

    def call(number):
        opened.append(browser.new_page())
        opened[-1].on('request', lambda request: asked.add(request.url))
        opened[-1].goto(addresses[number])
        return opened[-1]

    yield call
    for page in opened:
        page.close()
    ours = (*addresses.values(), 'data:', 'blob:')
    assert asked and not [url for url in asked if not url.startswith(ours)]


def pixels(seed, size=(24, 40)):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (3, 5, 3), dtype=np.uint8), size[::-1])


def upload(page, path):
    page.locator('input[type=file]').first.set_input_files(str(path))


def shown(page, view):
    """The left and the right picture of a view, as they came to the browser."""
    page.get_by_role('tab', name=view.capitalize()).click()
    images = page.locator(f'#{view} img')
    images.nth(1).wait_for(state='attached')
    pictures = []
    for i in range(2):
        body = page.request.get(images.nth(i).get_attribute('src')).body()
        pictures.append(cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])
    return pictures


def assert_shows(page, predictions):
    for view, expected in zip(VIEWS, pairs(predictions), strict=True):
        for picture, one in zip(expected, shown(page, view), strict=True):
            assert np.array_equal(picture, one), view
    text = page.locator('#shares').inner_text()
    for prediction in predictions:
        name, share = next(iter(prediction.shares().items()))
        assert name in text and f'{share:.1%}' in text


def test_a_turned_photo_beside_its_prediction(open_page, networks, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(1)).save(tmp_path / 'photo.jpg', exif=exif)
    expected = networks[0].predictor.predict(tmp_path / 'photo.jpg')
    assert expected.image.shape == (40, 24, 3)
    page = open_page(1)
    upload(page, tmp_path / 'photo.jpg')
    assert_shows(page, [expected])
    assert 'after' not in page.locator('body').inner_text()


def test_two_networks_beside_each_other(open_page, networks, tmp_path):
    Image.fromarray(pixels(2)).save(tmp_path / 'photo.png')
    expected = [network.predictor.predict(tmp_path / 'photo.png') for network in networks]
    page = open_page(2)
    upload(page, tmp_path / 'photo.png')
    assert_shows(page, expected)
    assert 'Left of the line: before, right of it: after' in page.locator('body').inner_text()


def test_an_example_is_clicked(open_page, networks):
    page = open_page(1)
    page.locator('.gallery-item').first.click()
    assert_shows(page, [networks[0].predictor.predict(pixels(5))])


def test_what_cannot_be_read_is_a_sentence_and_the_next_file_is_taken(
    open_page, networks, tmp_path
):
    page = open_page(1)
    Image.new('RGBA', (8, 8)).save(tmp_path / 'clear.png')
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8no picture')
    (tmp_path / 'empty.mp4').write_bytes(b'no video')
    for name, sentence in (
        ('clear.png', 'clear.png: a PNG with an alpha channel'),
        ('broken.jpg', 'broken.jpg: '),
        ('empty.mp4', 'empty.mp4: no frame can be decoded'),
    ):
        upload(page, tmp_path / name)
        toast = page.locator('.toast-body', has_text=sentence)
        toast.wait_for()
        assert str(tmp_path) not in toast.inner_text() and 'served' not in toast.inner_text()
    Image.fromarray(pixels(3)).save(tmp_path / 'good.png')
    upload(page, tmp_path / 'good.png')
    assert_shows(page, [networks[0].predictor.predict(pixels(3))])


def write_video(path, frames, size=(33, 47)):
    """Of an odd size."""
    with VideoFile(path, 10) as file:
        for i in range(frames):
            file.write(pixels(i, size), Fraction(i, 10))
    return path


PLAY = """
async () => {
  const video = document.querySelector('#video video');
  video.muted = true;
  await video.play();
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  await new Promise(done => { const wait = () =>
    video.currentTime > 0.3 ? done() : setTimeout(wait, 20); wait(); });
  video.pause();
  video.currentTime = 0;
  await new Promise(done => video.addEventListener('seeked', done, {once: true}));
  const drawn = canvas.getContext('2d');
  drawn.drawImage(video, 0, 0);
  const data = drawn.getImageData(0, 0, canvas.width, canvas.height).data;
  return {ready: video.readyState, width: canvas.width, height: canvas.height,
          duration: video.duration, data: Array.from(data)};
}
"""


def test_a_video_plays_with_the_overlays_side_by_side(open_page, networks, tmp_path):
    path = write_video(tmp_path / 'drive.mp4', 8)
    page = open_page(2)
    upload(page, path)
    page.locator('#video video').wait_for()
    played = page.evaluate(PLAY)
    assert played['ready'] >= 2 and played['duration'] == pytest.approx(0.8, abs=0.01)
    assert (played['height'], played['width']) == (34, 2 * 48)
    first = next(read_frames(path)).image
    expected = np.hstack([network.predictor.predict(first).overlay() for network in networks])
    seen = np.array(played['data']).reshape(34, 96, 4)[..., :3]
    # of an encoded picture: colours of the whole, and of its halves
    for half in (slice(0, 48), slice(48, 96)):
        difference = seen[:, half].mean((0, 1)) - expected[:, half].mean((0, 1))
        assert np.abs(difference).max() < 4
    assert not page.locator('#overlay').is_visible()


def test_a_video_ends_with_the_page(open_page, networks, tmp_path, monkeypatch):
    predictor = networks[0].predictor
    real, seen = predictor.predict, []

    def slow(image):
        seen.append(1)
        time.sleep(0.05)
        return real(image)

    monkeypatch.setattr(predictor, 'predict', slow)
    path = write_video(tmp_path / 'long.mp4', 400)
    page = open_page(1)
    upload(page, path)
    until(lambda: len(seen) > 3)
    page.close()
    time.sleep(1)
    number = len(seen)
    time.sleep(1)
    assert len(seen) - number <= 1


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_exported_network_is_shown_as_well(tmp_path):
    pytest.importorskip('onnxruntime', reason='the extra export is not installed')
    network = Network('exported', dsr_nss.load(write_onnx(tmp_path / 'a.onnx'), device='cpu'))
    Image.fromarray(pixels(4, (80, 100))).save(tmp_path / 'photo.png')
    (_, *shown, _, shares) = Answers([network], tmp_path).of_image(str(tmp_path / 'photo.png'))
    expected = network.predictor.predict(tmp_path / 'photo.png')
    assert np.array_equal(shown[0][1], expected.overlay())
    assert next(iter(expected.shares())) in shares


def test_the_server_asks_nobody(addresses, called):
    assert set(called) <= {'127.0.0.1', 'localhost', None}
    assert all(re.fullmatch(r'http://127\.0\.0\.1:\d+/', one) for one in addresses.values())
