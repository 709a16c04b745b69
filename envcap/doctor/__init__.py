"""What of a lock would not survive: asked of its sources by their pages and by HEAD, without fetching a file.

`findings` are the nouns, `presence` asks one place, `diagnose` joins what places say of every pinned file.
"""
