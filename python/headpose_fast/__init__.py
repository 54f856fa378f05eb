"""The DeepLens head pose data set in seconds, to the bit: see `prepare`, or the README.

The names are imported when they are first used, so that the command line can start before NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headpose_fast._core import __version__
    from headpose_fast.bundle.arrays import Bundle
    from headpose_fast.bundle.loading import load
    from headpose_fast.database.labels import FaceBox
    from headpose_fast.database.limits import Limits
    from headpose_fast.database.photographs import Database, Photograph
    from headpose_fast.database.reading import open_database
    from headpose_fast.errors import BundleError, DatabaseError, UploadError
    from headpose_fast.pipeline import Prepared, prepare
    from headpose_fast.samples.crops import Crops, plan_crops
    from headpose_fast.samples.rendering import render
    from headpose_fast.stores.s3 import upload
    from headpose_fast.views.inspection import Inspection, inspect
    from headpose_fast.views.verification import Verified, verify

_HOME = {
    "Bundle": "bundle.arrays",
    "BundleError": "errors",
    "Crops": "samples.crops",
    "Database": "database.photographs",
    "DatabaseError": "errors",
    "FaceBox": "database.labels",
    "Inspection": "views.inspection",
    "Limits": "database.limits",
    "Photograph": "database.photographs",
    "Prepared": "pipeline",
    "UploadError": "errors",
    "Verified": "views.verification",
    "__version__": "_core",
    "inspect": "views.inspection",
    "load": "bundle.loading",
    "open_database": "database.reading",
    "plan_crops": "samples.crops",
    "prepare": "pipeline",
    "render": "samples.rendering",
    "upload": "stores.s3",
    "verify": "views.verification",
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
