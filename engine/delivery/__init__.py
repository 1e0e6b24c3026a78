"""The one door for a send: decide, claim, render, send, record."""
