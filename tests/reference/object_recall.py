"""Connected components of a class by flood fill, and the share of each that is found."""

import numpy as np


def objects(prediction: np.ndarray, label: np.ndarray, class_id: int) -> list[tuple[int, int]]:
    """`(area, found pixels)` of each component, 8 neighbours, in any order."""
    left = {p for p in np.ndindex(label.shape) if label[p] == class_id}
    result = []
    while left:
        stack, component = [left.pop()], []
        while stack:
            y, x = stack.pop()
            component.append((y, x))
            for neighbour in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if neighbour in left:
                    left.remove(neighbour)
                    stack.append(neighbour)
        result.append((len(component), sum(int(prediction[p] == class_id) for p in component)))
    return result
