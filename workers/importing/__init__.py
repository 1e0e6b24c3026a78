"""Imports on this machine: the report of what was refused, and how far an import has come."""
