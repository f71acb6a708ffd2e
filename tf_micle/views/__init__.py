"""Views on the device: photometry, batches, pictures of them."""
