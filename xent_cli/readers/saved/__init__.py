"""Results that an earlier run saved."""
