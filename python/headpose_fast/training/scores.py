"""How good predictions are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_fast.training.labels import encode


@dataclass(frozen=True)
class Score:
    """The result of `score`. Errors are mean absolute errors in degrees, accuracies are 0 to 1."""

    samples: int
    tilt_error: float
    pan_error: float
    #: The mean of both.
    error: float
    #: How often the nearest of 9 tilts, of 13 pans, and of the 93 poses is right.
    tilt_accuracy: float
    pan_accuracy: float
    pose_accuracy: float
    #: The scores of each person, if persons were given.
    by_person: dict[int, Score] = field(default_factory=dict)


def score(predicted: ArrayLike, true: ArrayLike, persons: ArrayLike | None = None) -> Score:
    """Score predictions.

    Args:
        predicted: Tilt and pan in degrees: (samples, 2).
        true: The same.
        persons: The person that each sample shows: (samples,). None for no scores by person.

    Raises:
        ValueError: The shapes do not match, there are no samples, or a value is not finite.

    """
    found, wanted = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if found.ndim != 2 or found.shape != wanted.shape or found.shape[1] != 2 or not len(found):
        raise ValueError(
            f"predicted and true must be (samples, 2), not {found.shape} and {wanted.shape}"
        )
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        raise ValueError("predicted and true must be finite")
    if persons is None:
        return _score(found, wanted)
    people = np.asarray(persons)
    if people.shape != (len(found),):
        raise ValueError(f"persons must be ({len(found)},), not {people.shape}")
    by_person = {
        int(person): _score(found[people == person], wanted[people == person])
        for person in np.unique(people)
    }
    return _score(found, wanted, by_person)


def _score(
    found: NDArray[np.float64],
    wanted: NDArray[np.float64],
    by_person: dict[int, Score] | None = None,
) -> Score:
    errors = np.abs(found - wanted).mean(axis=0)
    classes = [encode(a[:, 0], a[:, 1], "tilt_pan_classes") for a in (found, wanted)]
    right = (classes[0] == classes[1]).mean(axis=0)
    poses = [encode(a[:, 0], a[:, 1], "class") for a in (found, wanted)]
    return Score(
        samples=len(found),
        tilt_error=float(errors[0]),
        pan_error=float(errors[1]),
        error=float(errors.mean()),
        tilt_accuracy=float(right[0]),
        pan_accuracy=float(right[1]),
        pose_accuracy=float((poses[0] == poses[1]).mean()),
        by_person=by_person or {},
    )
