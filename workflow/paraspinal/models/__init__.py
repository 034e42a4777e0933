"""Networks: registry, card, synthesis, training and inference. The only room that imports torch."""
