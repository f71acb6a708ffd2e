"""Image files: checked, cleaned, decoded."""
