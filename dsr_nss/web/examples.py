"""Images to try the page with: night scenes that the package itself draws."""

from pathlib import Path

from dsr_nss.inference.pictures import write_picture
from dsr_nss.nightscape.scenes import render_pair

#: Scenes of the split `preview` that show much of what there is.
_SCENES = (6, 1, 3)
_SIZE = (256, 512)


def write_examples(folder: Path, number: int = len(_SCENES)) -> list[Path]:
    """Draws night images, about a second of one core each; no training set has them.

    Args:
        folder: Where `night_1.png`, ... go.
        number: How many.
    """
    return [
        write_picture(
            folder / f'night_{i}.png', render_pair(0, 'preview', scene, _SIZE).night.image
        )
        for i, scene in enumerate(_SCENES[:number], start=1)
    ]
