"""The people whom we may message, and the facts known of them. Pure."""
