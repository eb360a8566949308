"""The fused score of deterioration: what is kept of each hour, the features, and the model."""
