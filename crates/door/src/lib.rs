//! The front door: it listens, admits by source, reads the ClientHello, chooses the host and does TLS.
//!
//! What comes out is an [`Arrival`]: an admitted stream with its [`Connection`](pullgate_policy::Connection) facts. What HTTP makes of it
//! is no business of this crate's.

mod accept;
mod announcement;
mod certificate;
mod entrance;
mod gate;
mod handshake;
mod kernel_filter;
mod listen;
mod places;
mod reserve;
mod stream;
mod throttle;
mod tls;
mod trouble;
mod verifier;

pub use accept::{Accepting, Arrival, OpenConnection, Reception, serve};
pub use certificate::{CertificateFault, CertificateFiles, CheckedCertificate};
pub use entrance::Entrance;
pub use gate::{Gate, Gates};
pub use handshake::{Failure, Refused, secure};
pub use kernel_filter::{FilterFault, FilterFigures, Filtering, KernelFilter};
pub use listen::{Bound, ListenError, ListenerSettings, bind};
pub use places::Places;
pub use stream::Stream;
pub use tls::{HostTls, TlsError, TlsSettings};
