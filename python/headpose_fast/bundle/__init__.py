"""What a bundle is: the kinds of file, their trailer, and reading them without unpickling.

May import `job`, what that imports, and the small modules beside the rooms. A new kind is a module
`kind_NAME.py`, and an entry in `kinds` and in `forms`, which says what a form has. Kinds whose
places follow from counts alone share `placed.py`. Nothing above this room asks which kind it has.
"""
