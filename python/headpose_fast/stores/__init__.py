"""Where bundles are sent: S3, and stores that speak its protocol.

May import the small modules beside the rooms; a file is a file here, whatever it holds. Here belong
other stores.
"""
