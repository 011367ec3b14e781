"""The media type of an image: by its first bytes, since providers reject an image that is not what it claims to be."""

__all__ = ["image_type"]

# The first bytes in base64 of the four types that every provider of vision accepts.
_STARTS = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}


def image_type(data: str, declared: str | None) -> str | None:
    """Return the media type of an image in base64; the `declared` one if its bytes match no known type."""
    for start, media_type in _STARTS.items():
        if data.startswith(start):
            return media_type
    return _ALIASES.get(declared or "", declared)
