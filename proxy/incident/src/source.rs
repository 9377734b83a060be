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

/// Returns the network that one line of one provider is likely to be in: IPv4 by its /24, IPv6 by its /48.
#[must_use]
pub fn of_network(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let prefix = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, prefix).expect("24 and 48 fit their families").trunc()
}
