"""An index of a bundle's samples, and writing files that accompany a bundle."""

import csv
import io
import os
from pathlib import Path

from headpose_fast.database.databases import Database
from headpose_fast.output import output_file, require_writable
from headpose_fast.views.inspection import Inspection

_COLUMNS = "array,row,person,series,number,tilt,pan,crop_x,crop_y,crop_width,crop_height"


def write_index(
    inspection: Inspection, output: str | os.PathLike[str], database: Database | None
) -> Path:
    """Write a CSV file that lists the photograph and crop of every sample.

    Its columns are `array` (trn or test), `row`, `person`, `series`, `number`, `tilt` and `pan` in
    degrees, and `crop_x`, `crop_y`, `crop_width` and `crop_height` in pixels of the photograph. For
    a table there is one more, `photograph`: its path as the table has it.

    Raises as `write_beside` does, and BundleError if the bundle does not record its options, or if
    `database` is not what it was made from.
    """
    job = inspection.job(database)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    of_table = database is not None and database.is_table
    text.write(f"{_COLUMNS}{',photograph' if of_table else ''}\n")
    for part in job.parts:
        known = [(p.person, p.series, p.number, p.tilt, p.pan) for p in part.photographs]
        names = [(p.name,) if of_table else () for p in part.photographs]
        for row, crop in enumerate(part.crops.reshape(-1, 4).tolist()):
            at = row % len(known)
            writer.writerow((part.prefix, row, *known[at], *crop, *names[at]))
    return write_beside(inspection, output, text.getvalue().encode(), database)


def write_beside(
    inspection: Inspection,
    output: str | os.PathLike[str],
    content: bytes,
    database: Database | None,
) -> Path:
    """Write a file that accompanies a bundle; an existing one is replaced only by a complete one.

    Raises OSError if it cannot be written, ValueError if it would replace bundle or database.
    """
    output = Path(output)
    require_writable(output)
    for source in (inspection.path, *([database.path] if database else [])):
        if output.exists() and source.exists() and output.samefile(source):
            raise ValueError(f"{output}: it would replace a file that it is made from")
    with output_file(output, len(content), sync=False) as (_, file):
        file.write(content)
    return output
