//! Links, addresses, routes and neighbours over rtnetlink. Blocking and small: a request is one
//! datagram with one or more messages, the answer one acknowledgement each.
// `unsafe` is needed for the socket calls only, all of them in `socket`, `netns` and `route`.
#![allow(unsafe_code)]

mod message;
mod netns;
mod route;
mod socket;

pub use netns::{current_netns, in_netns, new_netns};
pub use route::{Address, DEFAULT_V4, Gateway, Mac, Neighbour, Route, Veth, index_of};
pub use socket::Socket;
