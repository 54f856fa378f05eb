"""The DeepLens head pose data set in seconds, to the bit: see `prepare`, or the README.

The names are imported when they are first used, so that the command line can start before NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headpose_fast._core import __version__
    from headpose_fast.bundle import Bundle, load
    from headpose_fast.database import (
        Database,
        DatabaseError,
        FaceBox,
        Limits,
        Photograph,
        open_database,
    )
    from headpose_fast.inspection import Inspection, inspect
    from headpose_fast.pipeline import Prepared, prepare
    from headpose_fast.rendering import Crops, plan_crops, render
    from headpose_fast.s3 import UploadError, upload
    from headpose_fast.verification import BundleError, Verified, verify

_HOME = {
    "Bundle": "bundle",
    "BundleError": "verification",
    "Crops": "rendering",
    "Database": "database",
    "DatabaseError": "database",
    "FaceBox": "database",
    "Inspection": "inspection",
    "Limits": "database",
    "Photograph": "database",
    "Prepared": "pipeline",
    "UploadError": "s3",
    "Verified": "verification",
    "__version__": "_core",
    "inspect": "inspection",
    "load": "bundle",
    "open_database": "database",
    "plan_crops": "rendering",
    "prepare": "pipeline",
    "render": "rendering",
    "upload": "s3",
    "verify": "verification",
}

__all__ = [
    "Bundle",
    "BundleError",
    "Crops",
    "Database",
    "DatabaseError",
    "FaceBox",
    "Inspection",
    "Limits",
    "Photograph",
    "Prepared",
    "UploadError",
    "Verified",
    "__version__",
    "inspect",
    "load",
    "open_database",
    "plan_crops",
    "prepare",
    "render",
    "upload",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
