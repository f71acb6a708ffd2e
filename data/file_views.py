"""A run's preprocessing, as `tf_micle.load` takes it (docs/python.md)."""

from data.views.file_views import FileViews, of_run

__all__ = ["FileViews", "of_run"]
