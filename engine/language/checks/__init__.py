"""One module a check; each says what is wrong with its place and what to do."""
