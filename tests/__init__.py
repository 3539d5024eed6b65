"""Proofs of the promises: unit, laws, contract, integration, acceptance; benchmarks measure."""
