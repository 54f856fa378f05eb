"""The DeepLens head pose data set in seconds, to the bit: see `prepare`, or the README.

Names are imported when they are first used, so the command line can start without NumPy.
Type checkers read `__init__.pyi`.
"""

from importlib import import_module

_HOME = {
    "Bundle": "bundle.arrays",
    "BundleError": "errors",
    "Crops": "samples.rendering",
    "Database": "database.databases",
    "DatabaseError": "errors",
    "Exported": "exports.exporting",
    "FaceBox": "database.names",
    "Inspection": "views.inspection",
    "LazyArray": "bundle.lazy",
    "LazyBundle": "bundle.lazy",
    "Limits": "database.limits",
    "Photograph": "database.photographs",
    "Prepared": "pipeline",
    "Table": "database.tables",
    "UploadError": "errors",
    "Verified": "views.verification",
    "__version__": "_core",
    "export": "exports.exporting",
    "inspect": "views.inspection",
    "load": "bundle.loading",
    "open_database": "database.reading",
    "plan_crops": "samples.rendering",
    "prepare": "pipeline",
    "render": "samples.rendering",
    "upload": "stores.uploading",
    "verify": "views.verification",
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
