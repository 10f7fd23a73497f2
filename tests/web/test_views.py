"""What the page shows, without a browser and without gradio."""

import numpy as np

from dsr_nss.datasets.images import read_image
from dsr_nss.inference.predictor import Prediction
from dsr_nss.visualization.colours import colourise, grey
from dsr_nss.web.examples import write_examples
from dsr_nss.web.views import Summary, pairs, table

NAMES, PALETTE = ('road', 'a <b>'), ((10, 20, 30), (200, 0, 0))


def prediction(labels, confidence=0.5):
    labels = np.array(labels, np.uint8)
    image = np.full((*labels.shape, 3), 40, np.uint8)
    return Prediction(
        labels, np.full(labels.shape, confidence, np.float32), NAMES, PALETTE, image, 'a'
    )


def test_one_network_is_compared_with_the_image_and_two_with_each_other():
    first, second = prediction([[0, 1]]), prediction([[1, 1]], 1.0)
    for left, _ in pairs([first]):
        assert left is first.image
    overlays, classes, confidences = pairs([first, second])
    assert [one.tolist() for one in overlays] == [one.overlay().tolist() for one in (first, second)]
    assert np.array_equal(classes[1], colourise(second.labels, PALETTE))
    assert [int(one[0, 0, 0]) for one in confidences] == [128, 255]


def test_grey_is_black_at_0_and_white_at_1():
    assert grey(np.array([[0, 0.2, 1, 1.5]]))[0, :, 1].tolist() == [0, 51, 255, 255]


def test_the_table_has_every_class_of_either_network_the_largest_first():
    both, one = Summary(), Summary()
    both.add(prediction([[0, 0, 0, 1]]))
    both.add(prediction([[0, 0, 1, 1]], 1.0))
    one.add(prediction([[1, 1, 1, 1]]))
    text = table(['x&y', 'z'], [both, one])
    assert text.index('a &lt;b&gt;') < text.index('road') and '<b>road' not in text
    assert 'x&amp;y<small>confidence 75%' in text and 'z<small>confidence 50%' in text
    for share in ('62.5%', '37.5%', '100.0%', '0.0%'):
        assert f'</i>{share}</td>' in text
    assert text.count('rgb(10, 20, 30)') == 3


def test_a_share_that_is_seen_is_not_rounded_to_nothing():
    summary = Summary()
    summary.add(prediction(np.arange(4000)[None] == 0))
    assert '&lt; 0.1%' in table(['x'], [summary])


def test_examples_are_night_scenes(tmp_path):
    (path,) = write_examples(tmp_path / 'new', 1)
    image = read_image(path)
    assert image.shape == (256, 512, 3) and 5 < image.mean() < 80
