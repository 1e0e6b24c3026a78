"""What adapters are tested with; ships with the package, for anyone's adapter."""
