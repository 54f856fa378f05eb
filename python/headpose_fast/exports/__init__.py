"""The database in forms that other people's loaders read: npz and parquet.

May import `training`, `sources`, `database` and the small modules beside the rooms. Here belong
other such forms; bundles, which have the original script's samples, belong in `bundle`.
"""
