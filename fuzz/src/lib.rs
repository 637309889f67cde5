//! What the fuzz targets share: certificates that were issued once and for all, forgeries of them, and a door to knock on.

pub mod door;
pub mod forge;
pub mod issued;
pub mod wire;
