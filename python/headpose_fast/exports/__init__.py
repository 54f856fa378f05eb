"""The database in formats that other loaders read, npz and parquet, and as a table.

May import `training`, `sources`, `database` and the small modules beside the rooms. Other such
formats belong here. Bundles, which have the original script's samples, belong in `bundle`.
"""
