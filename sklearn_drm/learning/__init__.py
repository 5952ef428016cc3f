"""Learning a chain: gradients, optimiser, contrastive divergence, fine-tuning."""
