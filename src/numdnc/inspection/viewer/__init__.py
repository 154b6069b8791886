"""The inspector: a trace as one HTML page that any browser can open."""
