"""Samples for training: new crops of each photograph in every epoch, with labels and scores.

May import `samples`, `sources`, `database` and the small modules beside the rooms. New recipes,
forms of labels, protocols and ways to feed a framework belong here. Only `torch` imports PyTorch.

Names are imported when they are first used.
"""

from importlib import import_module

_HOME = {
    "Batches": "batching",
    "DEEPLENS": "recipes",
    "Draws": "draws",
    "EpochSampler": "sampling",
    "FACE": "recipes",
    "FORMS": "labels",
    "Fold": "protocols",
    "Form": "rendering",
    "HOPENET": "recipes",
    "HeadPose": "torch",
    "POSES": "labels",
    "PROTOCOLS": "protocols",
    "PixelStore": "pixels",
    "Recipe": "recipes",
    "Samples": "dataset",
    "Score": "scores",
    "batches": "batching",
    "collate": "torch",
    "decode": "labels",
    "draw": "draws",
    "draws_of_plan": "draws",
    "encode": "labels",
    "folds": "protocols",
    "render_batch": "rendering",
    "score": "scores",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
