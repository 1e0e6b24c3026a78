"""The only home of SQLAlchemy: tables, repositories, migrations; and the same port kept in memory."""
