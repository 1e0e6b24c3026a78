"""Adapters: one class in one file for each provider."""
