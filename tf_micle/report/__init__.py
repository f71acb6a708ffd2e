"""The report of an evaluation, a page of HTML."""
