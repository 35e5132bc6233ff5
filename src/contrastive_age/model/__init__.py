"""The network, its initial weights and the losses."""
