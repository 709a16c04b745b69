"""`import`: what another tool locked, laid out as an environment that a snapshot can be taken of.

`resolve` and `pylock` say which archives and wheels a file means, `wheels` fetches these, `conda` and `venv` lay an
environment out of them. Which files there are to read is `envcap.conda`'s: `listed`, `environment_file`, `pixi_lock`.
"""
