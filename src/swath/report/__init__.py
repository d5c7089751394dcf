"""What people read of scores: tables, pictures, and pages that are one file."""
