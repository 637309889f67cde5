//! Lists of networks.

use crate::entry::Entry;
use crate::loading::{Fault, Read};
use ipnet::IpNet;
use std::net::IpAddr;

/// A list of networks, each a prefix or a single address.
pub(super) fn read(entry: &Entry<'_>) -> Read<Vec<IpNet>> {
    entry.list(network)
}

pub(super) fn network(entry: &Entry<'_>) -> Read<IpNet> {
    let network = entry.written(|text| {
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| single()).map_err(|_| {
            Fault::new(format!("`{text}` is not a network"))
                .help("write 203.0.113.0/24, 2001:db8::/32 or a single address")
        })
    })?;
    if network.addr() != network.network() {
        entry.warn(Fault::new(format!("{network} means {}", network.trunc())));
    }
    Ok(network)
}
