"""Studies over runs: tuning, ablation, comparison."""
