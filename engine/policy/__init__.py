"""Quiet hours, windows, caps, holdout: the rules that protect a person's time. Pure."""
