"""Changes of the tables, applied by `Database.migrate`."""
