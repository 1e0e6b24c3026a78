"""The compiled journey, where a person stands in it, and the interpreter that moves them. Pure."""
