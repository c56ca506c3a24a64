//! The seam to the API server: typed requests in process or over HTTPS, reflector, queue.
