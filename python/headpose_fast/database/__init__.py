"""What a photograph is: its name and label, its database, a database's limits, who is tested.

May import only the small modules beside the rooms (`errors`, `text`, `images`, `notebook`) and
`_core`. New ways to name, label, read or split photographs belong here; `objects` fetches those of
tables from S3. Fetching databases from elsewhere belongs in `sources`.
"""
