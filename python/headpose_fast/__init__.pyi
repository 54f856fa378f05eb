from headpose_fast._core import __version__ as __version__
from headpose_fast.bundle.arrays import Bundle as Bundle
from headpose_fast.bundle.lazy import LazyArray as LazyArray
from headpose_fast.bundle.lazy import LazyBundle as LazyBundle
from headpose_fast.bundle.loading import load as load
from headpose_fast.database.databases import Database as Database
from headpose_fast.database.limits import Limits as Limits
from headpose_fast.database.names import FaceBox as FaceBox
from headpose_fast.database.photographs import Photograph as Photograph
from headpose_fast.database.reading import open_database as open_database
from headpose_fast.database.tables import Table as Table
from headpose_fast.errors import (
    BundleError as BundleError,
)
from headpose_fast.errors import (
    DatabaseError as DatabaseError,
)
from headpose_fast.errors import (
    UploadError as UploadError,
)
from headpose_fast.exports.exporting import Exported as Exported
from headpose_fast.exports.exporting import export as export
from headpose_fast.pipeline import Prepared as Prepared
from headpose_fast.pipeline import prepare as prepare
from headpose_fast.samples.rendering import Crops as Crops
from headpose_fast.samples.rendering import plan_crops as plan_crops
from headpose_fast.samples.rendering import render as render
from headpose_fast.stores.uploading import upload as upload
from headpose_fast.views.inspection import Inspection as Inspection
from headpose_fast.views.inspection import inspect as inspect
from headpose_fast.views.verification import Verified as Verified
from headpose_fast.views.verification import verify as verify

__all__ = [
    "Bundle",
    "BundleError",
    "Crops",
    "Database",
    "DatabaseError",
    "Exported",
    "FaceBox",
    "Inspection",
    "LazyArray",
    "LazyBundle",
    "Limits",
    "Photograph",
    "Prepared",
    "Table",
    "UploadError",
    "Verified",
    "__version__",
    "export",
    "inspect",
    "load",
    "open_database",
    "plan_crops",
    "prepare",
    "render",
    "upload",
    "verify",
]
