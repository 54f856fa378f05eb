"""Making texts of unknown origin fit to print."""

from collections.abc import Sequence

#: Most characters of a line that are printed.
_LONGEST = 500

#: Problems that an error message lists; the rest are counted.
_MOST_LISTED = 20


def printable(text: str) -> str:
    """Escape whatever would end the line or control the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Turn a text into one printable line, short enough to read."""
    return shortened(printable(text), _LONGEST)


def shortened(text: str, longest: int) -> str:
    """Cut a text off after a number of characters."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def plain(text: object) -> str:
    """Write a name in one line of ASCII, safe for every terminal and font."""
    return printable(str(text).encode("ascii", "backslashreplace").decode())


def listed(problems: Sequence[str], noun: str, prefix: str = "") -> str:
    """Join the first problems, one per line; a last line, after a prefix, counts the others."""
    lines = list(problems[:_MOST_LISTED])
    if len(problems) > _MOST_LISTED:
        lines.append(f"{prefix}and {len(problems) - _MOST_LISTED:,} more such {noun}")
    return "\n".join(lines)
