"""The store in SQL: a module a repository, over SQLAlchemy's core."""
