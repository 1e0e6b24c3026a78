"""Imports on this machine: files of rows, the report of what was refused, and how far an import has come."""
