"""A live environment as a lock needs it: what `snapshot` and `check` must find out alike.

`scan` reads it, `interpreter` says what its Python is and pins it, `system` pins the packages of the operating system.
"""
