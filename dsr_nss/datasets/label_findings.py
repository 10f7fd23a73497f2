"""What labels tell of themselves: classes that they never show, and masks."""

from collections.abc import Mapping, Sequence

import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.datasets.images import count_ids, read_label

#: What to say of labels that hold 0 and 255 alone.
MASKS = (
    f'the labels are masks of 0 and {IGNORE_INDEX}, and {IGNORE_INDEX} means ignored: give the '
    'object the id of its class (1 for the second)'
)
#: Labels that are opened where no statistics are made.
SAMPLES = 16


def sampled_labels(labels: Sequence[str], number: int = SAMPLES) -> list[str]:
    """A few label files, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(labels) - 1, number).round().astype(int))
    return [labels[i] for i in chosen]


def count_sample(labels: Sequence[str]) -> dict[int, int]:
    """Pixels of each id in label files, the ignored ones too."""
    counts = np.sum([count_ids(read_label(path)) for path in labels], axis=0)
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts)}


def label_findings(
    pixels: Mapping[int, int], classes: Sequence[str], labels: Sequence[str], read: int
) -> list[str]:
    """Classes that the labels never show, and labels that show a single one.

    Args:
        pixels: Pixels of each class in the labels that were read.
        classes: Names of all classes.
        labels: All label files.
        read: How many of them were read.

    Returns:
        One sentence for each finding.
    """
    where = f'the {read} labels' if read == len(labels) else f'{read} of {len(labels)} labels'
    present = [i for i in range(len(classes)) if pixels.get(i)]
    absent = [f'{name} ({i})' for i, name in enumerate(classes) if i not in present]
    findings = []
    if len(present) == 1:
        (only,) = present
        text = (
            f'all {pixels[only]} labelled pixels of {where} have one id, {only} ({classes[only]})'
        )
        ids = set(count_sample(sampled_labels(labels, 4)))
        if ids == {0, IGNORE_INDEX}:
            text += f'; {MASKS}'
        findings.append(text)
    if absent:
        findings.append(
            f'{len(absent)} of {len(classes)} classes have no pixel in {where}, so nothing can be '
            f'learnt of them: {", ".join(absent)}'
        )
    return findings
