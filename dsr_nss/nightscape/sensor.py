"""What lens and sensor do to the radiance: blur, glare, exposure, noise, colour cast, tone."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Sensor:
    """Settings of one exposure.

    Attributes:
        exposure: Gain on the linear radiance.
        balance: Gains of red, green and blue.
        shot: Noise variance per radiance.
        read: Standard deviation of the noise in the dark.
        motion: Length of the motion blur as a share of the image width.
        direction: Its direction, radians.
        bloom: Strength of the glare around bright sources.
        vignette: Darkening of the corners, 0 to 1.
        seed: Seed of the noise.
    """

    exposure: float
    balance: tuple[float, float, float]
    shot: float
    read: float
    motion: float
    direction: float
    bloom: float
    vignette: float
    seed: int


def sample_sensor(rng: np.random.Generator, night: bool) -> Sensor:
    """Random settings for a day or a night exposure."""
    cast = rng.normal(0, 0.05 if night else 0.025, 2)
    warm = 0.12 if night else 0.0
    return Sensor(
        exposure=float(np.exp(rng.normal(0.0, 0.28 if night else 0.13)))
        * (1.15 if night else 1.05),
        balance=(float(1 + cast[0] + warm), 1.0, float(1 + cast[1] - warm)),
        shot=float(rng.uniform(1.0e-3, 2.5e-3)) if night else 6e-5,
        read=float(rng.uniform(2.0e-3, 4.0e-3)) if night else 6e-4,
        motion=float(rng.uniform(0.0, 0.007)) if night else 0.0,
        direction=float(rng.normal(0, 0.35)),
        bloom=float(rng.uniform(0.6, 1.3)) if night else 0.05,
        vignette=float(rng.uniform(0.05, 0.25)),
        seed=int(rng.integers(1 << 40)),
    )


def expose(radiance: np.ndarray, sensor: Sensor, night: bool) -> np.ndarray:
    """Linear radiance (H, W, 3) float32 to an sRGB image (H, W, 3) uint8."""
    height, width = radiance.shape[:2]
    image = _motion(radiance, sensor.motion * width, sensor.direction)
    if sensor.bloom:
        image = image + sensor.bloom * _glare(image)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    image = image * (1 - sensor.vignette * (x * x + y * y) / 2)[..., None]
    image = image * (sensor.exposure * np.array(sensor.balance, np.float32))
    rng = np.random.default_rng(sensor.seed)
    noise = rng.standard_normal(image.shape, np.float32)
    if night:
        # Colour filter and noise reduction correlate neighbours; keep the variance.
        noise = 0.75 * noise + 1.2 * cv2.GaussianBlur(noise, (0, 0), 0.8)
    image = np.maximum(image, 0)
    image = image + noise * np.sqrt(sensor.shot * image + sensor.read**2)
    image = np.maximum(image, 0)
    image = 1 - np.exp(-image * 1.15) if night else _shoulder(image)
    return np.round(255 * np.clip(image, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def _shoulder(image: np.ndarray) -> np.ndarray:
    """Compress highlights above 0.6 towards 1."""
    over = np.maximum(image - 0.6, 0)
    return np.minimum(image, 0.6) + 0.4 * (1 - np.exp(-over / 0.4))


def _motion(image: np.ndarray, length: float, direction: float) -> np.ndarray:
    if length < 0.5:
        return image
    size = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((size, size), np.float32)
    for t in np.linspace(-0.5, 0.5, 33):
        column = size // 2 + t * length * np.cos(direction)
        row = size // 2 + t * length * np.sin(direction)
        c, r = int(np.floor(column)), int(np.floor(row))
        for dr in (0, 1):
            for dc in (0, 1):
                if 0 <= r + dr < size and 0 <= c + dc < size:
                    share = (1 - abs(row - r - dr)) * (1 - abs(column - c - dc))
                    kernel[r + dr, c + dc] += share
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _glare(image: np.ndarray) -> np.ndarray:
    """Halo of the bright parts: wide Gaussians and a faint horizontal streak."""
    height, width = image.shape[:2]
    bright = np.maximum(image - 0.8, 0)
    bright = bright / (1 + 0.03 * bright)
    total = np.zeros_like(image)
    for share, shrink, weight in ((0.004, 1, 0.14), (0.014, 2, 0.14), (0.05, 8, 0.12)):
        size = (max(2, width // shrink), max(2, height // shrink))
        small = cv2.resize(bright, size, interpolation=cv2.INTER_AREA) if shrink > 1 else bright
        sigma = max(share * width / shrink, 0.3)
        blurred = cv2.GaussianBlur(small, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        if shrink > 1:
            blurred = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
        total += weight * blurred
    streak = cv2.GaussianBlur(
        bright, (0, 0), sigmaX=0.02 * width, sigmaY=0.35, borderType=cv2.BORDER_CONSTANT
    )
    return total + 0.08 * streak
