//! Makes the Pods of one node real: Pod workers, status, node object, node service.
