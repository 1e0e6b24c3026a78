"""Scenarios in virtual time: one world, one timeline, two carriers."""
