"""Everything that starts a process: settings, composition, Temporal, the command line."""
