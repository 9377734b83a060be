//! Where something comes from, as wide as one client is: IPv4 whole, IPv6 by its /64.

use std::net::IpAddr;

use ipnet::IpNet;

/// Returns the network that stands for one client.
#[must_use]
pub fn of_client(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let prefix = if address.is_ipv4() { 32 } else { 64 };
    IpNet::new(address, prefix).expect("32 and 64 fit their families").trunc()
}

/// Writes the network as people write it: an address alone where it is one.
#[must_use]
pub fn text(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}
