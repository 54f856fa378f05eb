"""What a sample is: its options, its crop, its pixels and its labels.

May import `database` and the small modules beside the rooms. Here belong options that change
samples, and other ways to crop, render or label; how samples are stored belongs in `bundle`.
"""
