"""The nucleus: schedules, journals and enforces. It knows no device."""
