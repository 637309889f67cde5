//! Section `admin`.

use super::listeners::address;
use crate::entry::Unique;
use crate::loading::Read;
use crate::model::Admin;
use crate::section::Section;
use std::net::{Ipv4Addr, SocketAddr};

/// Where the admin listener is, unless somebody says otherwise: where nobody else's machine reaches it.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

pub(super) fn read(section: &mut Section<'_>, addresses: &mut Unique) -> Read<Admin> {
    let address = section.or("address", DEFAULT, |entry| address(entry, addresses));
    Ok(Admin { address: address? })
}
