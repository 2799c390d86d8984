//! Criterion benchmarks and the benchmark report.
