"""What workflows have done outside: thin shells over the engine."""
