"""The dashboard: journeys, deliveries, decisions, the local inbox, and why one person got theirs. It only reads."""
