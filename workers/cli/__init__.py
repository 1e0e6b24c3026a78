"""The command line, a module a family of verbs."""
