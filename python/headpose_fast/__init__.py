"""The DeepLens head pose data set in seconds, to the bit: see `prepare`, or the README."""

from headpose_fast._core import __version__
from headpose_fast.bundle import Bundle, load
from headpose_fast.database import Database, DatabaseError, FaceBox, Photograph, open_database
from headpose_fast.pipeline import Prepared, prepare
from headpose_fast.rendering import Crops, plan_crops, render

__all__ = [
    "Bundle",
    "Crops",
    "Database",
    "DatabaseError",
    "FaceBox",
    "Photograph",
    "Prepared",
    "__version__",
    "load",
    "open_database",
    "plan_crops",
    "prepare",
    "render",
]
