"""A job in shards: what each of them is, where they go, and who makes them.

May import `bundle`, `stores`, what those import, and the small modules beside the rooms. Each way
to run tasks is a module of its own that maps 'shards to do' onto an engine: `local` for this
process, `on_ray` for Ray, which only that module imports. Here belong other engines and
destinations; what the file of a shard is belongs in `bundle`.
"""
