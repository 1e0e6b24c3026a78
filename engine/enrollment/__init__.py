"""One person in one journey: entry, performing steps, exits, goals, the trail."""
