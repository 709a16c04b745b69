"""How an address of a mirror is shown: without the credentials it may hold."""

from urllib.parse import urlsplit


def show_url(url: str) -> str:
    """Return an address without userinfo, query and fragment, fit for a message."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable address)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
