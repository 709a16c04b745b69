"""Where artifacts can be had: this machine's indexes and credentials, their pages, and fetching pinned files.

A lock names content, never places (DESIGN §3), so every place comes from here: pip's and uv's configuration, the
environment variables that both read, and the hints of a lock. Everything that a server says is hostile until checked.
"""
