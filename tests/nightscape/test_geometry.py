"""Camera, rasteriser and flow of nightscape."""

import numpy as np
import pytest

from dsr_nss.nightscape.camera import Camera
from dsr_nss.nightscape.paint import TRANSPARENT, Canvas
from dsr_nss.nightscape.raster import Raster, Surface, quad
from dsr_nss.nightscape.scenes import render_pair
from dsr_nss.nightscape.view import flow_between


def make_camera(**changes):
    values = dict(
        position=(0.3, 1.4, -0.5),
        yaw=0.05,
        pitch=-0.02,
        roll=0.01,
        focal=0.9,
        height=48,
        width=96,
    )
    return Camera(**{**values, **changes})


def test_projection_inverts_world_points():
    camera = make_camera()
    inverse_depth = np.random.default_rng(0).uniform(0.02, 0.3, (48, 96)).astype(np.float32)
    points = camera.world_points(inverse_depth)
    inside = camera.to_camera(points)
    pixels = camera.project(inside)
    rows, columns = np.mgrid[0:48, 0:96]
    np.testing.assert_allclose(inside[..., 2], 1 / inverse_depth, rtol=1e-4)
    np.testing.assert_allclose(pixels[..., 0], columns + 0.5, atol=2e-3)
    np.testing.assert_allclose(pixels[..., 1], rows + 0.5, atol=2e-3)


def test_positive_yaw_looks_right_and_positive_pitch_up():
    ahead = np.array([0.0, 1.4, 10.0])
    plain = make_camera(position=(0, 1.4, 0), yaw=0, pitch=0, roll=0)
    right = make_camera(position=(0, 1.4, 0), yaw=0.1, pitch=0, roll=0)
    up = make_camera(position=(0, 1.4, 0), yaw=0, pitch=0.1, roll=0)
    np.testing.assert_allclose(plain.project(plain.to_camera(ahead)), [48, 24])
    assert right.project(right.to_camera(ahead))[0] < 40
    assert up.project(up.to_camera(ahead))[1] > 30


def test_nearer_surface_wins_whatever_the_order():
    camera = make_camera(position=(0, 1, 0), yaw=0, pitch=0, roll=0)
    near = Surface(quad((-1, 0, 5), (2, 0, 0), (0, 2, 0)), 3, (200, 0, 0))
    far = Surface(quad((-3, -1, 9), (6, 0, 0), (0, 4, 0)), 2, (0, 200, 0))
    first, second = Raster(camera), Raster(camera)
    for surface in (near, far):
        first.draw(surface)
    for surface in (far, near):
        second.draw(surface)
    np.testing.assert_array_equal(first.label, second.label)
    np.testing.assert_array_equal(first.rgbe, second.rgbe)
    assert first.label[24, 48] == 3
    assert first.inverse_depth[24, 48] == pytest.approx(1 / 5, rel=1e-5)
    assert {2, 3} <= set(np.unique(first.label))


def test_surface_behind_or_seen_from_its_back_is_not_drawn():
    camera = make_camera(position=(0, 1, 0), yaw=0, pitch=0, roll=0)
    raster = Raster(camera)
    raster.draw(Surface(quad((-1, 0, -5), (2, 0, 0), (0, 2, 0)), 3))
    raster.draw(Surface(quad((1, 0, 5), (-2, 0, 0), (0, 2, 0)), 3))
    assert (raster.inverse_depth == 0).all()
    raster.draw(Surface(quad((1, 0, 5), (-2, 0, 0), (0, 2, 0)), 3, two_sided=True))
    assert (raster.inverse_depth > 0).any()


def test_texture_labels_and_holes():
    canvas = Canvas(2, 2, 16, label=7)
    canvas.rect(0, 0, 1, 2, (255, 0, 0))
    assert canvas.label is not None and (canvas.label == TRANSPARENT).any()
    raster = Raster(make_camera(position=(0, 1, 0), yaw=0, pitch=0, roll=0))
    surface = quad((-1, 0, 4), (2, 0, 0), (0, 2, 0))
    raster.draw(Surface(surface, 0, texture=canvas.texture()))
    assert raster.label[24, 40] == 7  # the left half is painted, the right half is a hole
    assert raster.inverse_depth[24, 56] == 0


def test_hidden_textures_are_not_painted():
    raster = Raster(make_camera(position=(0, 1, 0), yaw=0, pitch=0, roll=0))
    raster.draw(Surface(quad((-9, -9, 3), (18, 0, 0), (0, 18, 0)), 2))

    def paint():
        raise AssertionError('painted although hidden')

    raster.draw(Surface(quad((-1, 0, 5), (2, 0, 0), (0, 2, 0)), 3, texture=paint))


@pytest.fixture(scope='module')
def pairs():
    return [render_pair(0, 'dark_zurich/train', index, (128, 256)) for index in range(4)]


def test_flow_carries_the_labels(pairs):
    for pair in pairs:
        flow, valid, occluded = flow_between(pair.night, pair.day)
        assert flow.shape == (2, 128, 256) and flow.dtype == np.float32
        assert valid.dtype == bool and occluded.dtype == bool
        rows, columns = np.mgrid[0:128, 0:256]
        x, y = columns + flow[0], rows + flow[1]
        assert (x[valid] > 0).all() and (x[valid] < 255).all()
        assert (y[valid] > 0).all() and (y[valid] < 127).all()
        used = valid & ~occluded
        assert used.mean() > 0.25
        warped = pair.day.label[
            np.clip(np.round(y), 0, 127).astype(int), np.clip(np.round(x), 0, 255).astype(int)
        ]
        agreement = (warped == pair.night.label)[used].mean()
        still = (pair.day.label == pair.night.label)[used].mean()
        assert agreement > 0.97
        assert agreement > still + 0.01, 'no better than no flow at all'


def test_flow_is_moderate_and_has_parallax(pairs):
    for pair in pairs:
        flow, valid, occluded = flow_between(pair.night, pair.day)
        length = np.hypot(*flow)[valid & ~occluded] / 256
        assert 0.005 < np.median(length) < 0.12
        # A pure homography of the plane at infinity would leave no spread.
        assert np.percentile(length, 95) - np.percentile(length, 5) > 0.004


def test_dynamic_objects_are_occluded(pairs):
    for pair in pairs:
        _, _, occluded = flow_between(pair.night, pair.day)
        assert occluded[pair.night.dynamic].all()
        assert np.isin(pair.night.label[pair.night.dynamic], (*range(11, 19), 255)).all()
        assert not np.isin(pair.night.label[~pair.night.dynamic], range(11, 19)).any()


def test_flow_of_a_view_to_itself_is_zero(pairs):
    flow, valid, occluded = flow_between(pairs[0].night, pairs[0].night)
    assert np.abs(flow).max() < 1e-3
    assert not (occluded & valid & ~pairs[0].night.dynamic).any()
