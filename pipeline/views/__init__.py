"""Results as people see them: curves, figures, sheets, tables, the page."""
