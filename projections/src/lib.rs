//! What remembers: read models, query endpoints, rebuild.
