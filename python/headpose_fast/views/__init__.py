"""What people see of a bundle: facts, a picture, an index of its samples, the outcome of a check.

May import `bundle`, `sources`, what they import, and the small modules beside the rooms. New ways
to look at bundles belong here. Whatever writes bundles belongs in `pipeline` or `bundle`.
"""
