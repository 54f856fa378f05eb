"""Where bundles are sent: S3, and stores that speak its protocol.

May import the small modules beside the rooms, and `bundle` for which files are an index's shards;
otherwise what a file contains does not matter here. Other stores belong here.
"""
