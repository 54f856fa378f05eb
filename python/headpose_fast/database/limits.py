"""Limits on what a database may demand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits on what a database may demand: anything that exceeds them is refused unread.

    The published database is far below all of them. A larger one of your own may need other values.
    """

    #: Members of an archive, including those that do not belong to the database.
    members: int = 100_000
    #: Bytes of an archive or a table.
    archive_bytes: int = 2 << 30
    #: Bytes that a gzipped archive may unpack to.
    unpacked_bytes: int = 2 << 30
    #: Bytes that each byte of a gzipped archive may unpack to, beyond the first 64 MiB. The
    #: published database unpacks to 1.2 times its size, a bomb to a thousand times.
    expansion: int = 20
    #: Bytes of one photograph. The published ones have 8 to 17 KB.
    photograph_bytes: int = 32 << 20
    #: Pixels of one photograph, 2**26 at most. The published ones have 384 x 288.
    photograph_pixels: int = 1 << 24
    #: Bytes of one label. The published ones have 42 to 47.
    label_bytes: int = 4096
