"""Code that several components share: checksums, errors, artifact properties, provenance."""
