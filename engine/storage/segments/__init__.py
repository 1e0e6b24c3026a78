"""Segments over all profiles: a condition becomes one query, and what a database cannot say is finished in memory."""
