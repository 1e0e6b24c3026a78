"""Named predicates over profiles; membership is computed, never assigned. Pure."""
