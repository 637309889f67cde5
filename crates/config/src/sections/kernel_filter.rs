//! Key `listeners[].kernel_filter`.

use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::model::{KernelFilter, ListenAddress, Sources};
use pullgate_policy::Networks;
use pullgate_policy::packet_filter::{Family, Program};

/// What is asked of the kernel; `require` has to be possible for the listener's sources and address, where they could be read.
pub(super) fn read(
    entry: &Entry<'_>,
    filtered: Option<(&Sources, &ListenAddress)>,
    cloudflare: Option<&Networks>,
) -> Read<KernelFilter> {
    let filter = entry.typed()?;
    let Some((sources, address)) = filtered.filter(|_| filter == KernelFilter::Require) else { return Ok(filter) };
    let networks = match sources {
        Sources::Any => {
            let fault = Fault::new("anybody may connect here, so that there is nobody to drop");
            return Err(entry.wrong(fault.help("list `sources`, or remove `kernel_filter`")));
        }
        Sources::Cloudflare => cloudflare,
        Sources::Networks(networks) => Some(networks),
    };
    let family = match address {
        ListenAddress::Open(address) => Family::of(address.ip()),
        // Nobody knows yet: the one whose programs are longer.
        ListenAddress::Inherited(_) => Family::Ipv6,
    };
    let too_long = networks.and_then(|networks| Program::admitting(networks, family).err());
    match too_long {
        Some(fault) => Err(entry.wrong(Fault::new(fault).help("list fewer `sources`, or write kernel_filter: auto"))),
        None => Ok(filter),
    }
}
