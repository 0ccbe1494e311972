"""Measuring what a proposal does, before anybody decides: which requests, who asks for it, and the work itself."""
