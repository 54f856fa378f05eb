"""What a sample is: its options, its crop, its pixels and its labels.

May import `database` and the small modules beside the rooms. Options that change samples belong
here, and other ways to crop, render or label. How samples are stored belongs in `bundle`.
"""
