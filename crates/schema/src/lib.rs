//! The schema table of the built-in kinds and what it drives: strict decoding, pruning, protobuf, strategic merge, OpenAPI. Pure.
