"""The teacher is a running mean of the student [7].

Numbers in brackets are equations of arXiv 2310.04747.
"""

import numpy as np


def momentum_at(step: int, momentum: float) -> float:
    """lambda_t = min(1 - 1/(t+1), lambda); ``step`` counts finished steps from 1."""
    return min(1.0 - 1.0 / (step + 1), momentum)


def follow(students: list[np.ndarray], start: np.ndarray, momentum: float) -> np.ndarray:
    """The teacher after all ``students``: ``students[k]`` is the student after step ``k + 1``."""
    teacher = start.astype(np.float64)
    for step, student in enumerate(students, start=1):
        lam = momentum_at(step, momentum)
        teacher = lam * teacher + (1.0 - lam) * student.astype(np.float64)
    return teacher
