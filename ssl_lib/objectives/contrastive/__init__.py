"""The contrastive objective."""
