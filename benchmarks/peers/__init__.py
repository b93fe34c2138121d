"""The same sweeps, written by hand or with another tool, as a competent user of it would write them."""
