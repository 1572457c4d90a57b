"""The five self-supervised objectives, one file each."""
