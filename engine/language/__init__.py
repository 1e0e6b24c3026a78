"""What authors write: strict YAML with positions, documents, diagnostics, checks, and the compiler to plans."""
