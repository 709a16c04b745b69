"""What conda packages are: placeholders, paths, channel names. Pure: shared by scan, lock and build."""
