"""`terminator run`: train one model, or with `-m` plan a sweep, carry it out and report."""
