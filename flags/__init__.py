"""All configuration: flags by concern, their reader, and recipes."""
