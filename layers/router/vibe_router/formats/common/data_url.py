"""Data URLs: files inline in a URL field."""

__all__ = ["data_url", "read_data_url"]


def read_data_url(url: str) -> tuple[str | None, str | None]:
    """Return the media type and base64 of a data URL; (None, None) if `url` is not a base64 data URL."""
    if not url.startswith("data:"):
        return None, None
    head, comma, data = url[5:].partition(",")
    media_type, semicolon, encoding = head.rpartition(";")
    if not comma or not semicolon or encoding != "base64":
        return None, None
    return media_type or None, data


def data_url(media_type: str, data: str) -> str:
    """Return base64 `data` as a URL."""
    return f"data:{media_type};base64,{data}"
