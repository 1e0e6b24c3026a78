"""Importing: profiles, events and consents from somebody else's rows. Where the rows come from is others' work."""
