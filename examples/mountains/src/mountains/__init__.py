"""A small service that keeps a collection of mountains."""
