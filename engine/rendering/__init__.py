"""From template to message: sandboxed, by locale, with links and a text twin."""
