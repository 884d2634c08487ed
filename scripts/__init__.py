"""Programs over the package: demo, benchmarks, training, generated pages."""
