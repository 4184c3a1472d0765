"""What scripts/bench starts and measures with. Each server and the load generator run in processes of their own."""
