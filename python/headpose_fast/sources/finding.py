"""Finding the database: in the current folder, in the cache folder, or on the net."""

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import overload

from headpose_fast.database.databases import PUBLISHED_DIGEST, Database
from headpose_fast.database.limits import Limits
from headpose_fast.database.reading import open_database
from headpose_fast.database.tables import Table
from headpose_fast.errors import DatabaseError
from headpose_fast.progress import Progress
from headpose_fast.sources.cache import SAMPLE_NAME, cache_folder, cached_file, keeping
from headpose_fast.text import one_line

#: Where the database is published; each is tried over https, then over http.
ADDRESSES = (
    "crowley-coutaz.fr/HeadPoseDataSet/HeadPoseImageDatabase.tar.gz",
    "www-prima.inrialpes.fr/perso/Gourier/Faces/HeadPoseImageDatabase.tar.gz",
)

#: Names of the database in the current folder; the first one found is used.
_ARCHIVES = tuple(f"HeadPoseImageDatabase{suffix}" for suffix in (".tar.gz", ".tgz", ".tar"))

#: The published database in the cache folder.
_PUBLISHED = f"HeadPoseImageDatabase-{PUBLISHED_DIGEST[:16]}.tar.gz"

#: Any database in the cache folder: the published one, one from an address, the sample.
_KEPT = re.compile(rf"{re.escape(_PUBLISHED)}|address-[0-9a-f]{{16}}\.archive|{SAMPLE_NAME}")


@overload
def find_database(
    source: Table, progress: Progress | None = None, limits: Limits | None = None
) -> Table: ...
@overload
def find_database(
    source: str | Path | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Path: ...
@overload
def find_database(
    source: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Path | Table: ...
def find_database(
    source: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Path | Table:
    """Return the path of the database that `--input` means, downloading it if need be.

    A path or `Table` is returned as it is. The file at an address, `http://` or `https://`, is kept
    in the cache folder, and downloaded again if the server has a newer one or reports no time of
    change. None means the archive or the folders in the current folder, else the copy of the
    published database in the cache folder, else a download of it, which must have its digest.

    `progress` is called with the bytes downloaded and their total (as long as the server reports
    none, the bytes downloaded). `limits` holds for a downloaded archive; None for `Limits()`.

    Raises DatabaseError if there is no usable database at the address, OSError if there is no
    database, no address gave one, or the cache cannot be written.
    """
    limits = limits or Limits()
    if source is None:
        return _here() or _published(progress, limits)
    if not isinstance(source, str) or "://" not in source:
        return source if isinstance(source, Table) else Path(source)
    if not _is_address(source):
        raise ValueError(f"{one_line(source)}: only http:// and https:// addresses can be read")
    return _at_address(source, progress, limits)


def download_path(source: str | os.PathLike[str] | None) -> Path | None:
    """Return where `find_database` would keep a download; None if it needs none."""
    if source is None:
        return None if _here() else cache_folder() / _PUBLISHED
    return _copy_of(source) if isinstance(source, str) and _is_address(source) else None


def _copy_of(address: str) -> Path:
    # The address may hold secrets.
    name = hashlib.sha256(os.fsencode(address)).hexdigest()[:16]
    return cache_folder() / f"address-{name}.archive"


def _is_address(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def open_with_digest(source: Path | Table, limits: Limits | None) -> tuple[Database, str]:
    """Open a database and hash it; an error in a copy in the cache folder says what to do.

    Raises as `open_database` does, and DatabaseError if a copy of the published database is not.
    """
    path = Path(source)
    try:
        database = open_database(source, limits)
        digest = database.digest
        if path.name == _PUBLISHED and digest != PUBLISHED_DIGEST:
            raise DatabaseError([f"{path}: not the published database"])
    except DatabaseError as error:
        if _KEPT.fullmatch(path.name):
            advice = f"{path}: a copy in the cache; if it is damaged, delete it to get another"
            raise DatabaseError([advice, *error.problems]) from None
        raise
    return database, digest


def open_as_asked(
    source: Path | Table,
    limits: Limits | None,
    test_persons: Collection[int],
    *,
    by_default: bool,
    published: bool,
    complete: bool,
) -> tuple[Database, str]:
    """Open a database and hash it; require it to be the published one, or complete, on request.

    If the test people are those `by_default`, a table need not have them.

    Raises as `open_with_digest` and `Database.require_complete` do.
    """
    database, digest = open_with_digest(source, limits)
    if complete and not (database.is_table and by_default):
        database.require_complete(test_persons)
    if published and digest != PUBLISHED_DIGEST:
        raise DatabaseError(
            [f"{source}: not the published database; to use it anyway, name it with --input"]
        )
    return database, digest


def databases_at_hand() -> Iterator[Path]:
    """Yield the databases in the current folder and the cache folder, without the network."""
    yield from filter(Path.is_file, map(Path, _ARCHIVES))
    if Path("Person01").is_dir() or Path("Personne01").is_dir():
        yield Path()
    # Without a home folder there is no cache.
    with contextlib.suppress(OSError):
        folder = cache_folder()
        yield from filter(Path.is_file, (folder / _PUBLISHED, folder / SAMPLE_NAME))


def database_of_digest(digest: str | None) -> Database | None:
    """Open the database with this digest if it is in the current folder or the cache folder."""
    for path in databases_at_hand():
        with contextlib.suppress(DatabaseError):
            database = open_database(path)
            if database.digest == digest:
                return database
    return None


def _here() -> Path | None:
    """Return the database to use for the published one, if it need not be downloaded."""
    return next((path for path in databases_at_hand() if path.name != SAMPLE_NAME), None)


def _published(progress: Progress | None, limits: Limits) -> Path:
    """Download the published database into the cache folder."""
    # This takes as long to import as the rest of the package, and most runs download nothing.
    from headpose_fast.sources.fetching import FetchError, fetch

    tried = []
    with keeping("the database") as folder:
        path = folder / _PUBLISHED
        for address in (f"{scheme}://{rest}" for rest in ADDRESSES for scheme in ("https", "http")):
            try:
                with cached_file(path) as part:
                    fetch(address, part, limits.archive_bytes, progress)
                    digest = _open(part, address, limits).digest
                    if digest != PUBLISHED_DIGEST:
                        raise FetchError(f"not the published database: its digest is {digest}")
            except DatabaseError as error:
                tried.append(error.problems[0])
            except FetchError as error:
                tried.append(f"{address}: {error}")
            else:
                return path
    looked = f"neither {' nor '.join(_ARCHIVES)} nor Person01 in {Path.cwd()}"
    advice = "name an archive, a folder or an address with --input, or try --sample"
    raise FileNotFoundError("\n".join([f"no database: {looked}; no download:", *tried, advice]))


def _at_address(address: str, progress: Progress | None, limits: Limits) -> Path:
    """Return the cached copy of an address, downloaded anew unless it is known to be current."""
    from headpose_fast.sources.fetching import FetchError, UnchangedError, fetch

    place = _without_secrets(address)
    with keeping(f"the database from {place}"):
        path = _copy_of(address)
        kept = path.is_file()
        since = int(path.stat().st_mtime) if kept else 0
        try:
            with cached_file(path) as part:
                fetch(address, part, limits.archive_bytes, progress, since)
                _open(part, place, limits)
        except UnchangedError:
            return path
        except FetchError as error:
            reason = str(error)
        else:
            return path
    raise OSError(f"{place}: {reason}" + (f"; {path} is an earlier copy" if kept else ""))


def _open(part: Path, address: str, limits: Limits) -> Database:
    """Open a download; its problems begin with the address."""
    try:
        return open_database(part, limits)
    except DatabaseError as error:
        problems = [problem.removeprefix(f"{part}: ") for problem in error.problems]
        raise DatabaseError([f"{address}: {problem}" for problem in problems]) from None


def _without_secrets(address: str) -> str:
    """Remove user, password and query, which signed addresses have."""
    return one_line(re.sub(r"//[^/]*@", "//", re.split(r"[?#]", address, maxsplit=1)[0]))
