"""Where a database comes from: the current folder, the cache, the net, or the built-in sample.

May import `database` and the small modules beside the rooms. New places to look for a database
belong here, and ways to keep what was fetched.
"""
