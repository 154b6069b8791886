"""The inspector: a trace as a page of its own that any browser opens."""
