"""The reference monitor: what data may steer which act. Pure: no I/O, no clock, no state."""
