"""Report of an evaluation, a page of HTML."""
