"""What comes in: intake, the router that gives events their effect, and sweeps for what only time changes."""
