"""The ground floor: types, the table of calls, errors, labels and ports."""
