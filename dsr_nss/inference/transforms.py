"""What a config's test pipeline does to an image."""

from mmengine.config import Config

#: What loads and packs; whatever else a test pipeline does, it does to the image.
_FRAME = ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs')


def image_transforms(config: Config) -> list[dict]:
    """What the config's `test_pipeline` does to an image between loading and packing: resize it."""
    return [step for step in config.get('test_pipeline') or [] if step['type'] not in _FRAME]
