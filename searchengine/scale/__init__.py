"""Past one machine: vector stores that are servers, and embedding on a cluster."""
