"""What scripts/chaos is made of: servers that are killed, buyers who misbehave, faults by a plan, and the auditor."""
