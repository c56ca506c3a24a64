//! Image references, registry pulls, content store, unpacking and garbage collection.
