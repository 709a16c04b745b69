"""The projects of editable installs whose importable files can't be found: built to a wheel, once, at snapshot."""
