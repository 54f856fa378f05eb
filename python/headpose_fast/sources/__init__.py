"""Where a database comes from: the current folder, the cache, the net, or the built-in sample.

May import `database` and the small modules beside the rooms. Here belong new places to look for a
database, and how what was fetched is kept.
"""
