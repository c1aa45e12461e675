"""The training itself: its sections, policy, TRL's trainer, sampling, sharding, vLLM."""
