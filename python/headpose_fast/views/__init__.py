"""What people see of a bundle: facts, a picture, an index of its samples, the outcome of a check.

May import `bundle`, `sources`, what they import, and the small modules beside the rooms. Here
belong new ways to look at bundles; what writes them belongs in `pipeline` or `bundle`.
"""
