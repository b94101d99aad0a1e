//! Looks into a recording by its live objects.
