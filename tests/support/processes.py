"""Processes of this machine, as the operating system tells of them."""

from __future__ import annotations

from pathlib import Path


def members_of(session: int) -> list[int]:
    """Return the living processes of a session of the operating system."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if fields[3] == str(session) and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found
