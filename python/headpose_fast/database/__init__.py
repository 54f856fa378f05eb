"""What a photograph is: its name and label, its database, what a database may ask, who is tested.

May import only the small modules beside the rooms (`errors`, `text`, `images`, `notebook`) and
`_core`. Here belong new ways to name, label, read or split photographs that are at hand; fetching
them from elsewhere belongs in `sources`.
"""
