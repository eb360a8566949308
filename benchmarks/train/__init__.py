"""Programs that train what is shipped. They are not benchmarks and print no figures."""
