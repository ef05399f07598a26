"""Video encoders: the model, its specification, and the folder that holds one."""
