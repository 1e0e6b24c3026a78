"""The store in plain dicts and lists, for virtual time."""
